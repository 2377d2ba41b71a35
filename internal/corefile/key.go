package corefile

import (
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// keyUse is a place that names a key. It is set once when the line is read.
type keyUse struct {
	line line
	name string
	set  func(*xfr.Key)
}

// useKey notes that the line names a key; set is called with it once all keys of the directive are known.
func (r *reader) useKey(l line, name string, set func(*xfr.Key)) {
	r.keyUses = append(r.keyUses, keyUse{line: l, name: name, set: set})
}

// resolveKeys gives every place that names a key its key. Only keys of the same directive count: which key protects a zone
// is then seen in one place, and two customers of one server may both call theirs "transfer".
func (r *reader) resolveKeys() error {
	for _, use := range r.keyUses {
		key := r.group.Key(use.name)
		if key == nil {
			return use.line.Errorf("%s: no key %q in this %s; want a key or key_file line for it in the same block",
				use.line.option(), use.name, Name)
		}
		use.set(key)
	}
	return nil
}

// Key returns the key of that name, or nil.
func (g *Group) Key(name string) *xfr.Key {
	n, err := wire.ParseName(name)
	if err != nil {
		return nil
	}
	for _, k := range g.Keys {
		if k.Name() == wire.Name(wire.AppendLower(nil, n)).String() {
			return k
		}
	}
	return nil
}

// key reads "key NAME ALGORITHM SECRET".
func (r *reader) key(l line) error {
	args := l.args()
	k, err := xfr.NewKey(args[0], args[1], args[2])
	if err != nil {
		return l.Errorf("key: %w (%s)", err, l.usage)
	}
	return r.addKey(l, k)
}

// addKey adds a key of the line. The same key twice is harmless; two keys of one name are not, as a message shows the name
// only.
func (r *reader) addKey(l line, k *xfr.Key) error {
	if old := r.group.Key(k.Name()); old != nil {
		if !old.Equal(k) {
			return l.Errorf("%s: key %s is already defined at %v with another algorithm or secret; want every key once",
				l.option(), k.Name(), r.keysAt[k.Name()])
		}
		return nil
	}
	r.group.Keys = append(r.group.Keys, k)
	r.keysAt[k.Name()] = l.Position
	for _, w := range Weaknesses(k) {
		r.warn(l, "key %s %s; %s is better", k.Name(), w.What, w.Better)
	}
	return nil
}

// Weakness is why a key should be replaced. It is a plain value.
type Weakness struct{ What, Better string }

// strongKeyBits is the least a secret should have: a shorter one can be guessed from one signed message.
const strongKeyBits = 128

// Weaknesses returns what is wrong with a key that is accepted all the same.
func Weaknesses(k *xfr.Key) (found []Weakness) {
	if k.Algorithm().Obsolete() {
		found = append(found, Weakness{"is hmac-md5, which RFC 8945 §6 keeps for old servers only", "hmac-sha256"})
	}
	if bits := k.SecretBits(); bits < strongKeyBits {
		better := fmt.Sprintf("a secret of at least %d bits", strongKeyBits)
		found = append(found, Weakness{fmt.Sprintf("has %d bits", bits), better})
	}
	return found
}
