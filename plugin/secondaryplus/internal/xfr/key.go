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
	"strings"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// Algorithm is one TSIG algorithm (RFC 8945 §6). The package's algorithms are shared and read-only.
type Algorithm struct {
	mnemonic string
	name     wire.Name // on the wire, lower case
	size     int       // octets of a whole MAC
	hash     func() hash.Hash
}

// String returns the mnemonic, such as "hmac-sha256".
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
	return &Algorithm{mnemonic: mnemonic, name: n, size: size, hash: h}
}

// AlgorithmNames returns the mnemonics of all algorithms, weakest first.
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
	want := strings.TrimSuffix(strings.ToLower(algorithm), ".")
	i := slices.IndexFunc(algorithms, func(a *Algorithm) bool { return a.mnemonic == want || a.Is(want) })
	if i < 0 {
		read := ""
		if strings.HasPrefix(want, "hmac-") {
			read = fmt.Sprintf("%q ", algorithm)
		}
		return nil, fmt.Errorf("the key algorithm %sis not known; want one of %s", read, strings.Join(AlgorithmNames(), ", "))
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return nil, errors.New("the key secret (not shown) is not base64; want it as tsig-keygen prints it between the quotes")
	}
	return &Key{name: wire.AppendLower(nil, n), algorithm: algorithms[i], secret: raw}, nil
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
	return k.name.Equal(o.name) && k.algorithm == o.algorithm && hmac.Equal(k.secret, o.secret)
}
