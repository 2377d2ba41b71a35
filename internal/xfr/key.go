package xfr

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Algorithm is one TSIG algorithm (RFC 8945 §6). The package's algorithms are shared and read-only.
type Algorithm struct {
	mnemonic string
	name     wire.Name // on the wire, lower case
	size     int       // octets of a whole MAC
	mac      int       // octets of it that are sent, and the least that is accepted
	hash     func() hash.Hash
}

// minMAC is the least of a MAC that may be sent, in octets; and never less than half of the hash (RFC 8945 §5.2.2.1).
const minMAC = 10

// least returns how many octets of a MAC may be sent at least.
func (a *Algorithm) least() int { return max(minMAC, a.size/2) }

// Whole reports whether mac has the length of a MAC that is not truncated.
func (a *Algorithm) Whole(mac []byte) bool { return len(mac) == a.size }

// Truncated reports whether a part of each MAC is sent only.
func (a *Algorithm) Truncated() bool { return a.mac < a.size }

// Obsolete reports whether the algorithm is there for old servers only (RFC 8945 §6).
func (a *Algorithm) Obsolete() bool { return strings.HasPrefix(a.mnemonic, "hmac-md5") }

// String returns the mnemonic, such as "hmac-sha256", or "hmac-sha256-128" where MACs are cut to 128 bits.
func (a *Algorithm) String() string { return a.mnemonic }

// Is reports whether name is the algorithm's name on the wire, in presentation form.
func (a *Algorithm) Is(name string) bool {
	n, err := wire.ParseName(name)
	return err == nil && n.Equal(a.name)
}

// algorithms are those of RFC 8945 §6 that an HMAC key can have. hmac-md5 is there because managed services still hand it
// out.
var algorithms = []*Algorithm{
	newAlgorithm("hmac-md5", "hmac-md5.sig-alg.reg.int.", md5.Size, md5.New),
	newAlgorithm("hmac-sha1", "hmac-sha1.", sha1.Size, sha1.New),
	newAlgorithm("hmac-sha224", "hmac-sha224.", sha256.Size224, sha256.New224),
	newAlgorithm("hmac-sha256", "hmac-sha256.", sha256.Size, sha256.New),
	newAlgorithm("hmac-sha384", "hmac-sha384.", sha512.Size384, sha512.New384),
	newAlgorithm("hmac-sha512", "hmac-sha512.", sha512.Size, sha512.New),
}

func newAlgorithm(mnemonic, name string, size int, h func() hash.Hash) *Algorithm {
	n, err := wire.ParseName(name)
	if err != nil {
		panic(err) // the table above is wrong
	}
	return &Algorithm{mnemonic: mnemonic, name: n, size: size, mac: size, hash: h}
}

// parseAlgorithm returns the algorithm with this mnemonic or name on the wire, behind which the bits of a MAC that are sent may
// stand: hmac-sha256-128, as BIND says it. ok is false for an algorithm that is not known.
func parseAlgorithm(s string) (a *Algorithm, ok bool, err error) {
	find := func(s string) *Algorithm {
		i := slices.IndexFunc(algorithms, func(a *Algorithm) bool { return a.mnemonic == s || a.Is(s) })
		if i < 0 {
			return nil
		}
		return algorithms[i]
	}
	s = strings.TrimSuffix(strings.ToLower(s), ".")
	if a = find(s); a != nil {
		return a, true, nil
	}
	cut := strings.LastIndexByte(s, '-')
	if cut < 0 {
		return nil, false, nil
	}
	if a = find(s[:cut]); a == nil {
		return nil, false, nil
	}
	bits, err := strconv.ParseUint(s[cut+1:], 10, 16)
	if err != nil || bits%8 != 0 || bits > uint64(a.size)*8 || bits < uint64(a.least())*8 {
		return nil, true, fmt.Errorf("the key algorithm %q has a MAC of a wrong length; want %s-BITS with a multiple of 8 from %d to %d (RFC 8945 §5.2.2.1)",
			s, a.mnemonic, a.least()*8, a.size*8)
	}
	return a.truncatedTo(int(bits / 8)), true, nil
}

// truncatedTo returns the algorithm with MACs of so many octets.
func (a *Algorithm) truncatedTo(octets int) *Algorithm {
	if octets == a.size {
		return a
	}
	t := *a
	t.mac, t.mnemonic = octets, fmt.Sprintf("%s-%d", a.mnemonic, octets*8)
	return &t
}

// AlgorithmNames returns the mnemonics of all algorithms with whole MACs, weakest first.
func AlgorithmNames() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.mnemonic
	}
	return names
}

// Key is a TSIG key. It is immutable and safe for concurrent use; its secret leaves it only as a MAC.
type Key struct {
	name      wire.Name // lower case
	algorithm *Algorithm
	secret    []byte
}

// NewKey returns the key with this name, algorithm (mnemonic, or name on the wire) and base64 secret. Its errors repeat
// neither the name nor the secret, nor anything else than the beginning of an algorithm: people swap the words, and one is
// secret.
func NewKey(name, algorithm, secret string) (*Key, error) {
	n, err := wire.ParseName(name)
	if err != nil || n.Labels() == 0 || strings.ContainsFunc(name, notPrinting) {
		return nil, errors.New("the key name is not a domain name; want one such as test_key or transfer.example.org")
	}
	a, known, err := parseAlgorithm(algorithm)
	switch {
	case err != nil:
		return nil, err
	case !known:
		read := ""
		if strings.HasPrefix(strings.ToLower(algorithm), "hmac-") {
			read = fmt.Sprintf("%q ", algorithm)
		}
		return nil, fmt.Errorf("the key algorithm %sis not known; want one of %s, or one with the bits of a truncated MAC behind it, such as hmac-sha256-128",
			read, strings.Join(AlgorithmNames(), ", "))
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return nil, errors.New("the key secret (not shown) is not base64; want it as tsig-keygen prints it between the quotes")
	}
	return &Key{name: wire.AppendLower(nil, n), algorithm: a, secret: raw}, nil
}

// Name returns the key's name in presentation form, lower case, with a final dot.
func (k *Key) Name() string { return k.name.String() }

// Algorithm returns the key's algorithm.
func (k *Key) Algorithm() *Algorithm { return k.algorithm }

// Secret returns the secret in base64, for the one border where CoreDNS's own TSIG code needs it.
func (k *Key) Secret() string { return base64.StdEncoding.EncodeToString(k.secret) }

// HasSecret reports whether secret, in base64, is the key's own.
func (k *Key) HasSecret(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(k.Secret()), []byte(secret)) == 1
}

// SecretBits returns the length of the secret in bits.
func (k *Key) SecretBits() int { return len(k.secret) * 8 }

// Equal reports whether k and o are the same key; both may be nil.
func (k *Key) Equal(o *Key) bool {
	if k == nil || o == nil {
		return k == o
	}
	return k.name.Equal(o.name) && k.algorithm.mnemonic == o.algorithm.mnemonic && hmac.Equal(k.secret, o.secret)
}

// notPrinting reports whether r is a space, a control character or not ASCII.
func notPrinting(r rune) bool { return r <= ' ' || r > '~' }
