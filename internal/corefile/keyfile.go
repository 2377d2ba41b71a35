package corefile

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// keygenAlgorithms are the numbers under which dnssec-keygen filed HMAC keys (BIND's dst/dst.h; they never were in a
// registry).
var keygenAlgorithms = map[int]string{
	157: "hmac-md5",
	161: "hmac-sha1",
	162: "hmac-sha224",
	163: "hmac-sha256",
	164: "hmac-sha384",
	165: "hmac-sha512",
}

// wantKeyFile says what a key file may be.
const wantKeyFile = `want clauses of the form key "name" { algorithm hmac-sha256; secret "..."; }; as tsig-keygen writes ` +
	`them, or the .key or .private file of a dnssec-keygen HMAC key`

// keyFile reads "key_file FILE".
func (r *reader) keyFile(l line) error {
	path := r.path(l.args()[0])
	text, err := r.readSecret(l, "file of TSIG keys", path)
	if err != nil {
		return l.Errorf("key_file: %w", err)
	}
	keys, err := parseKeys(path, string(text))
	if err != nil {
		return l.Errorf("key_file: %w", err)
	}
	for _, k := range keys {
		if err := r.addKey(l, k); err != nil {
			return err
		}
	}
	return nil
}

// parseKeys returns the keys in the text of the file at path, at least one: BIND key clauses, or one file of a pair written
// by dnssec-keygen. The path names the file in errors, with the line where there is one, and its last element names the key
// of a .private file, which does not say it itself. No error shows a secret.
func parseKeys(path, text string) ([]*xfr.Key, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	lexer := keyLexer{path: path, rest: text, line: 1}
	// What the file is called says nothing: clauses are often kept in a file named rndc.key or transfer.key.
	first, err := lexer.next()
	switch {
	case err != nil:
		return nil, err
	case first.is("Private-key-format:"):
		return onlyKey(parsePrivateKey(path, text))
	case first.is("key"), first.is("include"), first.kind == keyTokenEnd:
		return parseKeyClauses(&keyLexer{path: path, rest: text, line: 1})
	default:
		return onlyKey(parseKeyRecord(path, text))
	}
}

func onlyKey(k *xfr.Key, err error) ([]*xfr.Key, error) {
	if err != nil {
		return nil, err
	}
	return []*xfr.Key{k}, nil
}

// parseKeyRecord reads a file such as "Ktest_key.+157+64252.key", one line of the form
// "test_key. IN KEY 512 3 157 c2VjcmV0IHNlY3JldA==" (RFC 2535 §3).
func parseKeyRecord(path, text string) (*xfr.Key, error) {
	var key *xfr.Key
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, ";")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		fail := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %w", path, number, fmt.Errorf(format, args...))
		}
		if key != nil {
			return nil, fail("a second record; want one KEY record")
		}
		name, fields := fields[0], fields[1:]
		if len(fields) > 0 && isNumber(fields[0]) { // a TTL
			fields = fields[1:]
		}
		if len(fields) > 0 && strings.EqualFold(fields[0], "IN") {
			fields = fields[1:]
		}
		if len(fields) > 0 && strings.EqualFold(fields[0], "DNSKEY") {
			return nil, fail("a DNSSEC key; %s", wantKeyFile)
		}
		const beforeSecret = 4 // KEY, flags, protocol, algorithm
		if len(fields) <= beforeSecret || !strings.EqualFold(fields[0], "KEY") {
			return nil, fail("not a key; %s", wantKeyFile)
		}
		algorithm, err := keygenAlgorithm(fields[3])
		if err != nil {
			return nil, fail("%w", err)
		}
		if key, err = xfr.NewKey(name, algorithm, strings.Join(fields[beforeSecret:], "")); err != nil {
			return nil, fail("%w", err)
		}
	}
	if key == nil {
		return nil, fmt.Errorf("%s: no key; %s", path, wantKeyFile)
	}
	return key, nil
}

// privateFileName is what dnssec-keygen calls the file: the name of the key, its algorithm and its key tag. BIND writes
// unusual octets of the name as %XX; those are left to the .key file, which has the name in presentation form.
var privateFileName = regexp.MustCompile(`^K([^%]+)\+(\d{3})\+\d{5}\.private$`)

// parsePrivateKey reads a file such as "Ktest_key.+157+64252.private", lines of the form "Algorithm: 157 (HMAC_MD5)" and
// "Key: c2VjcmV0IHNlY3JldA==" and, of a truncated HMAC, "Bits: AIA=".
func parsePrivateKey(path, text string) (*xfr.Key, error) {
	var algorithm, secret, bits, at string
	number := 0
	for line := range strings.Lines(text) {
		number++
		switch field, value, _ := strings.Cut(line, ":"); strings.TrimSpace(field) {
		case "Algorithm":
			algorithm, _, _ = strings.Cut(strings.TrimSpace(value), " ")
			at = fmt.Sprintf("%s:%d", path, number)
		case "Key":
			secret = strings.TrimSpace(value)
		case "Bits":
			bits = strings.TrimSpace(value)
		}
	}
	if algorithm == "" {
		return nil, fmt.Errorf("%s: no line of the form Algorithm: 163 (HMAC_SHA256)", path)
	}
	mnemonic, err := keygenAlgorithm(algorithm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if secret == "" {
		return nil, fmt.Errorf("%s: no line of the form Key: and the secret in base64", path)
	}
	name := privateFileName.FindStringSubmatch(filepath.Base(path))
	if name == nil || name[2] != algorithm {
		return nil, fmt.Errorf("%s: only the file name says what the key is called; want the one dnssec-keygen gave it, "+
			"such as Ktest_key.+%s+64252.private, or the .key file beside it", path, algorithm)
	}
	mnemonic, ok := withBits(mnemonic, bits)
	if !ok {
		return nil, fmt.Errorf("%s: the line Bits: is not a number of bits as dnssec-keygen writes it", path)
	}
	key, err := xfr.NewKey(name[1], mnemonic, secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// withBits returns an algorithm with the bits of its MAC as they stand in a .private file: two octets in base64, 0 for all. A
// file without them means all, too.
func withBits(mnemonic, bits string) (string, bool) {
	if bits == "" {
		return mnemonic, true
	}
	raw, err := base64.StdEncoding.DecodeString(bits)
	if err != nil || len(raw) != 2 {
		return "", false
	}
	if n := binary.BigEndian.Uint16(raw); n > 0 {
		mnemonic += "-" + strconv.Itoa(int(n))
	}
	return mnemonic, true
}

func keygenAlgorithm(number string) (string, error) {
	n, err := strconv.Atoi(number)
	if mnemonic, ok := keygenAlgorithms[n]; ok && err == nil {
		return mnemonic, nil
	}
	return "", errors.New("not the algorithm of a TSIG key; want one of 157 (HMAC_MD5), 161 (HMAC_SHA1), " +
		"162 (HMAC_SHA224), 163 (HMAC_SHA256), 164 (HMAC_SHA384), 165 (HMAC_SHA512)")
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}
