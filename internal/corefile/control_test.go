package corefile

import (
	"os"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// A token of the tests, which must not be seen anywhere.
const testToken = "0123456789abcdef-of-the-tests"

func TestControlIsRead(t *testing.T) {
	dir := t.TempDir()
	token := write(t, dir, "token", testToken+"\n")
	cert, key := dnstest.Certificate(t, dir, "a")
	for text, want := range map[string]Control{
		"control 127.0.0.1:9154":                    {Network: "tcp", Address: "127.0.0.1:9154", Host: "127.0.0.1"},
		"control [::1]:9154 token " + token:         {Network: "tcp", Address: "[::1]:9154", Host: "::1", Token: testToken},
		"control unix:" + dir + "/s token " + token: {Network: "unix", Address: dir + "/s", Token: testToken},
		"control 192.0.2.1:1 token " + token + " tls " + cert + " " + key: {
			Network: "tcp", Address: "192.0.2.1:1", Host: "192.0.2.1", Token: testToken, Cert: read(t, cert), Key: read(t, key)},
		"control 192.0.2.1:1 tls " + cert + " " + key + " token " + token: {
			Network: "tcp", Address: "192.0.2.1:1", Host: "192.0.2.1", Token: testToken, Cert: read(t, cert), Key: read(t, key)},
	} {
		b, err := parseText(inBlock(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if b.Settings.Control != want {
			t.Errorf("%s: %+v", text, b.Settings.Control)
		}
	}
}

// What would open the server to others, or is not understood, is refused; no error shows a secret.
func TestControlIsRefused(t *testing.T) {
	dir := t.TempDir()
	token := write(t, dir, "token", testToken)
	short := write(t, dir, "short", "tooshort")
	words := write(t, dir, "words", testToken+" "+testToken)
	cert, key := dnstest.Certificate(t, dir, "a")
	other, _ := dnstest.Certificate(t, dir, "b")
	for text, want := range map[string]string{
		"control":                                                "want control ADDRESS",
		"control localhost:9154":                                 "want an IP address and a port",
		"control 9154":                                           "want an IP address and a port",
		"control :9154":                                          "want an IP address and a port",
		"control 127.0.0.1:0":                                    "want an IP address and a port",
		"control unix:s":                                         "the path of the socket is not absolute",
		"control unix:" + dir + "/none/s":                        "is no directory",
		"control 0.0.0.0:9154":                                   "the network could steer the server",
		"control 192.0.2.1:9154":                                 "or 127.0.0.1:9154",
		"control [::]:9154 token " + token:                       "want token FILE and tls CERT KEY",
		"control 192.0.2.1:1 tls " + cert + " " + key:            "want token FILE and tls CERT KEY",
		"control 127.0.0.1:1 token":                              "want control ADDRESS",
		"control 127.0.0.1:1 token " + short:                     "want one word of 16 to 1024 printable",
		"control 127.0.0.1:1 token " + words:                     "want one word of 16 to 1024 printable",
		"control 127.0.0.1:1 token /nowhere":                     "no such file",
		"control 127.0.0.1:1 token " + token + " token " + token: "want control ADDRESS",
		"control 127.0.0.1:1 tls " + cert:                        "want control ADDRESS",
		"control 127.0.0.1:1 tls " + other + " " + key:           "private key does not match",
		"control 127.0.0.1:1 tls " + token + " " + key:           "control tls: ",
		"control 127.0.0.1:1\ncontrol 127.0.0.1:1":               "control is already given",
		"control 127.0.0.1:1\n}\nsecondaryplus y.test {\nprimary 192.0.2.1\ncontrol 127.0.0.1:2":                "control differs from the one at",
		"control 127.0.0.1:1\n}\nsecondaryplus y.test {\nprimary 192.0.2.1\ncontrol 127.0.0.1:1 token " + token: "control differs from the one at",
	} {
		_, err := parseText(inBlock(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), testToken) || strings.Contains(err.Error(), "tooshort") || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: the error shows a secret: %v", text, err)
		}
	}
}

func TestTokenFileThatOthersCanRead(t *testing.T) {
	token := write(t, t.TempDir(), "token", testToken)
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := parseText(inBlock("control 127.0.0.1:1 token " + token))
	if err != nil || len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "chmod 600") {
		t.Errorf("%v, warnings %q", err, b.Warnings)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
