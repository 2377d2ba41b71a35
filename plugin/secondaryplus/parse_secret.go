package secondaryplus

import (
	"fmt"
	"io"
	"os"
)

// maxSecretFile is the largest file with a token, the key of a certificate or URLs that is read, in octets.
const maxSecretFile = 64 << 10

// readSecret returns what is in a file that holds a secret; what says which. Errors do not show it.
func (r *groupReader) readSecret(l line, what, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSecretFile {
		return nil, fmt.Errorf("%s: larger than %d octets", path, maxSecretFile)
	}
	r.warnOfMode(l, what, path)
	return b, nil
}

// warnOfMode notes that a file with a secret is open to others than its owner. A file that is none, such as a pipe, has no mode
// that counts.
func (r *groupReader) warnOfMode(l line, what, path string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		r.warn(l, "the %s %s can be read by others (its mode is %04o); chmod 600 keeps it secret", what, path, info.Mode().Perm())
	}
}
