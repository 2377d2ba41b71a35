package cookie

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxSecrets is how many secrets a fleet may have in use: the one that makes cookies, and the one before it or after it.
const MaxSecrets = 2

// Random returns a secret of this process alone.
func Random() Secrets {
	s := Secrets{{}}
	rand.Read(s[0][:]) // never fails: crypto/rand ends the process instead
	return s
}

// Parse reads secrets from the text of a file: one a line, 32 hexadecimal digits, the one that makes cookies first. A #
// begins a comment. NSD's files of cookie secrets are of this form. Errors name the line and never what stands there.
func Parse(text string) (Secrets, error) {
	var all Secrets
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		octets, err := hex.DecodeString(line)
		if err != nil || len(octets) != SecretLen {
			return nil, fmt.Errorf("line %d: want a secret of %d hexadecimal digits", i+1, 2*SecretLen)
		}
		if len(all) == MaxSecrets {
			return nil, fmt.Errorf("line %d: want at most %d secrets: the one in use, and the one before or after it", i+1, MaxSecrets)
		}
		all = append(all, Secret(octets))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no secret; want one of %d hexadecimal digits on a line", 2*SecretLen)
	}
	return all, nil
}
