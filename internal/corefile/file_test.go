package corefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// Every file with a secret that others can read is warned of, in one line that names it; one that is the owner's alone is not, and
// no line shows what is in it.
func TestModesOfSecretFiles(t *testing.T) {
	dir := t.TempDir()
	dnstest.Certificate(t, dir, "tls")
	files := map[string]string{
		"key": fmt.Sprintf("key k { algorithm hmac-sha256; secret %q; };", testSecret), "token": strings.Repeat("T0ken", 8), "tls.key": "",
		"cookies": strings.Repeat("c00c1e5e", 4),
		"urls":    "# ours\n\ngeneric+https://sms.example.net/Wh1sper\n",
	}
	for name, text := range files {
		if text != "" {
			write(t, dir, name, text)
		}
	}
	const lines = "key_file key\ncontrol 127.0.0.1:9154 token token tls tls.pem tls.key\nfault_notify file urls\ncookies cookies"
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o644: true, 0o660: true, 0o602: true} {
		for name := range files {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
			b, err := parseTextIn(dir, inBlock(lines))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 1}[warned]; len(b.Warnings) != want {
				t.Errorf("%s with mode %04o: warnings %q; want %d", name, mode, b.Warnings, want)
			}
			for _, w := range b.Warnings {
				if !strings.Contains(w, filepath.Join(dir, name)+" can be read by others") || !strings.Contains(w, fmt.Sprintf("%04o", mode)) ||
					strings.Contains(w, testSecret) || strings.Contains(w, "T0ken") || strings.Contains(w, "Wh1sper") {
					t.Errorf("%s: %s", name, w)
				}
			}
			if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// URLs from a file are those of the line, beside others; errors name the line of the file and show nothing of a URL.
func TestURLsFromAFile(t *testing.T) {
	const hook, other = "generic+https://sms.example.net/Wh1sper2", "generic+https://chat.example.net/Wh1sper"
	dir := t.TempDir()
	write(t, dir, "urls", "\ufeff# who is told\r\n\r\n  "+hook+"  \r\n\t# "+other+"\n"+other)
	write(t, dir, "empty", "# nobody\n")
	write(t, dir, "wrong", "# a mistake\nWh1sper.example.net\n")
	write(t, dir, "many", strings.Repeat(other+"\n", maxSinks+1))
	write(t, dir, "large", strings.Repeat("#", maxSecretFile+1))
	b, err := parseTextIn(dir, inBlock("fault_notify "+other+"1\nfault_notify file urls"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.Settings.FaultNotify, strings.Join([]string{other + "1", hook, other}, "\n"); got != want {
		t.Errorf("URLs %q; want %q", got, want)
	}
	for line, want := range map[string]string{
		"file":            "0 words after file",
		"file urls empty": "2 words after file (not shown); want fault_notify URL... | file FILE",
		"file none":       filepath.Join(dir, "none") + ": no such file or directory; want a file of URLs that can be read",
		"file empty":      filepath.Join(dir, "empty") + ": no URL; want one a line",
		"file wrong":      filepath.Join(dir, "wrong") + ":2 - Error during parsing: not a notification URL",
		"file many":       fmt.Sprintf("%d URLs; want at most %d", maxSinks+1, maxSinks),
		"file large":      "larger than 1048576 octets",
		"file .":          "not a regular file",
	} {
		_, err := parseTextIn(dir, inBlock("fault_notify "+line))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Wh1sper") {
			t.Errorf("fault_notify %s: %v; want %s", line, err, want)
		}
	}
}
