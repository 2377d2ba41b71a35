package corefile

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// parseKeyClauses reads a file of clauses in the syntax of named.conf: key "name" { algorithm a; secret "s"; };
func parseKeyClauses(l *keyLexer) ([]*xfr.Key, error) {
	var keys []*xfr.Key
	for {
		token, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case token.kind == keyTokenEnd && len(keys) == 0:
			return nil, fmt.Errorf("%s: no key; %s", l.path, wantKeyFile)
		case token.kind == keyTokenEnd:
			return keys, nil
		case token.is("include"):
			return nil, l.errorf("include is not supported; want the key clause itself, or another key_file line for the other file")
		case !token.is("key"):
			return nil, l.errorf("not a key clause; want nothing else in the file (%s)", wantKeyFile)
		}
		key, err := parseKeyClause(l)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
}

// parseKeyClause reads a clause after its word "key". It shows no word it reads: where one semicolon is missing, the
// secret stands in another word's place.
func parseKeyClause(l *keyLexer) (*xfr.Key, error) {
	line := l.line
	name, err := l.word("the name of the key after key")
	if err != nil {
		return nil, err
	}
	if err := l.mark('{', "{ after the name of the key"); err != nil {
		return nil, err
	}
	given := map[string]string{}
	for {
		token, err := l.next()
		if err != nil {
			return nil, err
		}
		if token.kind == '}' {
			break
		}
		option := strings.ToLower(token.text)
		if token.kind != keyTokenWord || (option != "algorithm" && option != "secret") {
			return nil, l.errorf("want algorithm, secret or } here")
		}
		if _, twice := given[option]; twice {
			return nil, l.errorf("a second %s in one key clause", option)
		}
		if given[option], err = l.word("a value after " + option); err != nil {
			return nil, err
		}
		if err := l.mark(';', "; after the value of "+option); err != nil {
			return nil, err
		}
	}
	if err := l.mark(';', "; after the } of a key clause"); err != nil {
		return nil, err
	}
	for _, option := range []string{"algorithm", "secret"} {
		if given[option] == "" {
			return nil, fmt.Errorf("%s:%d: the key clause has no %s", l.path, line, option)
		}
	}
	// Quoted text may run over several lines and be indented on them.
	key, err := xfr.NewKey(name, given["algorithm"], strings.Join(strings.Fields(given["secret"]), ""))
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", l.path, line, err)
	}
	return key, nil
}

// Kinds of token beside the marks '{', '}' and ';', whose kind is the mark itself.
const (
	keyTokenEnd  = 0   // of the file
	keyTokenWord = 'w' // a bare word, or quoted text
)

// keyToken is one token of a key file. It is a plain value.
type keyToken struct {
	kind   byte
	text   string // of a word
	quoted bool
}

// is reports whether t is the bare word s, in any case.
func (t keyToken) is(s string) bool {
	return t.kind == keyTokenWord && !t.quoted && strings.EqualFold(t.text, s)
}

// keyLexer takes the text of a key file apart. It belongs to one call of parseKeys.
type keyLexer struct {
	path string
	rest string // not yet read
	line int    // of rest, from 1
}

func (l *keyLexer) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", l.path, l.line, fmt.Errorf(format, args...))
}

// take returns the next n octets and moves past them.
func (l *keyLexer) take(n int) string {
	s := l.rest[:n]
	l.rest = l.rest[n:]
	l.line += strings.Count(s, "\n")
	return s
}

// skip moves to the next token, over white space and the three kinds of comment.
func (l *keyLexer) skip() error {
	for {
		l.take(len(l.rest) - len(strings.TrimLeft(l.rest, " \t\r\n\v\f")))
		switch {
		case strings.HasPrefix(l.rest, "#"), strings.HasPrefix(l.rest, "//"):
			if end := strings.IndexByte(l.rest, '\n'); end >= 0 {
				l.take(end)
			} else {
				l.take(len(l.rest))
			}
		case strings.HasPrefix(l.rest, "/*"):
			end := strings.Index(l.rest[2:], "*/")
			if end < 0 {
				return l.errorf("comment is not closed; want */ after it")
			}
			l.take(end + len("/**/"))
		default:
			return nil
		}
	}
}

// next returns the next token. A comment ends no word: "//" is good base64.
func (l *keyLexer) next() (keyToken, error) {
	if err := l.skip(); err != nil {
		return keyToken{}, err
	}
	if l.rest == "" {
		return keyToken{kind: keyTokenEnd}, nil
	}
	switch c := l.rest[0]; c {
	case '{', '}', ';':
		l.take(1)
		return keyToken{kind: c}, nil
	case '"':
		end := strings.IndexByte(l.rest[1:], '"')
		if end < 0 {
			return keyToken{}, l.errorf(`quoted text is not closed; want " after it`)
		}
		text := l.take(end + 2)
		return keyToken{kind: keyTokenWord, text: text[1 : end+1], quoted: true}, nil
	}
	end := strings.IndexAny(l.rest, " \t\r\n\v\f{};\"")
	if end < 0 {
		end = len(l.rest)
	}
	return keyToken{kind: keyTokenWord, text: l.take(end)}, nil
}

// word returns the text of the next token, which must be a word; want says which.
func (l *keyLexer) word(want string) (string, error) {
	token, err := l.next()
	if err == nil && token.kind != keyTokenWord {
		err = l.errorf("want %s", want)
	}
	return token.text, err
}

// mark moves over the next token, which must be the mark; want says it in words.
func (l *keyLexer) mark(mark byte, want string) error {
	token, err := l.next()
	if err == nil && token.kind != mark {
		err = l.errorf("want %s", want)
	}
	return err
}
