package secondaryplus

import (
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// strongKeyBits is the least a key should have: shorter ones can be guessed from one signed message.
const strongKeyBits = 128

// keyUse is a place that names a key. It is set once when the line is read.
type keyUse struct {
	line line
	name string
	set  func(*xfr.Key)
}

// useKey notes that the line names a key; set is called with it once all keys of the directive are known.
func (r *groupReader) useKey(l line, name string, set func(*xfr.Key)) {
	r.keyUses = append(r.keyUses, keyUse{line: l, name: name, set: set})
}

// resolveKeys gives every place that names a key its key. Only keys of the same directive count: which key protects a zone
// is then seen in one place, and two customers of one server may both call theirs "transfer".
func (r *groupReader) resolveKeys() error {
	for _, use := range r.keyUses {
		key := r.keyNamed(use.name)
		if key == nil {
			return use.line.errorf("%s: no key %q in this %s; want a key or key_file line for it in the same block",
				use.line.option(), use.name, directiveName)
		}
		use.set(key)
	}
	return nil
}

// keyNamed returns the key of that name, or nil.
func (r *groupReader) keyNamed(name string) *xfr.Key {
	n, err := wire.ParseName(name)
	if err != nil {
		return nil
	}
	for _, k := range r.group.keys {
		if k.Name() == wire.Name(wire.AppendLower(nil, n)).String() {
			return k
		}
	}
	return nil
}

// key reads "key NAME ALGORITHM SECRET".
func (r *groupReader) key(l line) error {
	args := l.args()
	k, err := xfr.NewKey(args[0], args[1], args[2])
	if err != nil {
		return l.errorf("key: %w (%s)", err, l.usage)
	}
	return r.addKey(l, k)
}

// keyFile reads "key_file FILE".
func (r *groupReader) keyFile(l line) error {
	path := r.path(l.args()[0])
	keys, err := xfr.ReadKeyFile(path)
	if err != nil {
		return l.errorf("key_file: %w", unreadable(err, "a file of TSIG keys, as tsig-keygen writes them, that CoreDNS may read"))
	}
	r.warnOfMode(l, "key file", path)
	for _, k := range keys {
		if err := r.addKey(l, k); err != nil {
			return err
		}
	}
	return nil
}

// addKey adds a key of the line. The same key twice is harmless; two keys of one name are not, as a message shows the name
// only.
func (r *groupReader) addKey(l line, k *xfr.Key) error {
	if old := r.keyNamed(k.Name()); old != nil {
		if !old.Equal(k) {
			return l.errorf("%s: key %s is already defined at %v with another algorithm or secret; want every key once",
				l.option(), k.Name(), r.keysAt[k.Name()])
		}
		return nil
	}
	r.group.keys = append(r.group.keys, k)
	r.keysAt[k.Name()] = l.position
	if k.Algorithm().Obsolete() {
		r.warn(l, "key %s is hmac-md5, which RFC 8945 §6 keeps for old servers only; hmac-sha256 is better", k.Name())
	}
	if bits := k.SecretBits(); bits < strongKeyBits {
		r.warn(l, "key %s has %d bits; at least %d are better", k.Name(), bits, strongKeyBits)
	}
	return nil
}

// warn notes what is accepted and unwise.
func (r *groupReader) warn(l line, format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf("%v: %s", l.position, fmt.Sprintf(format, args...)))
}
