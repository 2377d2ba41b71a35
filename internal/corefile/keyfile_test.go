package corefile

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// fileSecret is base64 of 32 octets; no error may show it.
const fileSecret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ="

// describe returns keys in the form "name algorithm secret", with S for fileSecret.
func describe(keys []*xfr.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, strings.ReplaceAll(k.Name()+" "+k.Algorithm().String()+" "+k.Secret(), fileSecret, "S"))
	}
	return all
}

// fileOf replaces the word SECRET in the text of a key file.
func fileOf(text string) string { return strings.ReplaceAll(text, "SECRET", fileSecret) }

func TestKeyFiles(t *testing.T) {
	const clause = "key \"k\" {\n\talgorithm hmac-sha256;\n\tsecret \"SECRET\";\n};\n"
	tests := []struct {
		name, path, text string
		want             []string
	}{
		{"tsig-keygen", "k.conf", clause, []string{"k. hmac-sha256 S"}},
		{"any file name", "Kk.+163+00001.private", clause, []string{"k. hmac-sha256 S"}},
		{"byte order mark", "k", "\ufeff" + clause, []string{"k. hmac-sha256 S"}},
		{"one line", "k", `key k{secret "SECRET";algorithm hmac-md5;};`, []string{"k. hmac-md5 S"}},
		{"bare words", "k", "KEY Test_Key. { Algorithm HMAC-SHA512; Secret SECRET; };", []string{"test_key. hmac-sha512 S"}},
		{"name on the wire", "k", `key k { algorithm hmac-md5.sig-alg.reg.int; secret "SECRET"; };`, []string{"k. hmac-md5 S"}},
		{"several", "k", clause + "\n" + strings.Replace(clause, `"k"`, "l.example", 1), []string{"k. hmac-sha256 S", "l.example. hmac-sha256 S"}},
		{
			"comments", "k",
			"# one\n// two\n/* three\n key { */ key /**/ \"k\" { # four\nalgorithm hmac-sha1; // five\nsecret /* six */ \"SECRET\";\n};\n# seven",
			[]string{"k. hmac-sha1 S"},
		},
		{"slashes in a bare secret", "k", "key k { algorithm hmac-sha1; secret ab//cd//; };", []string{"k. hmac-sha1 ab//cd//"}},
		{"hash in quotes", "k", `key "k#1" { algorithm hmac-sha1; secret "SECRET"; };`, []string{"k#1. hmac-sha1 S"}},
		{"secret over two lines", "k", "key k { algorithm hmac-sha1; secret \"c2Vj\n\tcmV0\"; };", []string{"k. hmac-sha1 c2VjcmV0"}},
		{"KEY record", "Ktest_key.+157+64252.key", "test_key. IN KEY 512 3 157 SECRET\n", []string{"test_key. hmac-md5 S"}},
		{"KEY record with comment and TTL", "x", "; This is a key\nTest_key.example. 3600 in key 512 3 163 c2Vj cmV0 ; end\n\n", []string{"test_key.example. hmac-sha256 c2VjcmV0"}},
		{"KEY record without class", "x", "k. KEY 0 3 165 SECRET", []string{"k. hmac-sha512 S"}},
		{
			"private file", "dir/Ktest_key.+157+64252.private",
			"Private-key-format: v1.3\nAlgorithm: 157 (HMAC_MD5)\nKey: SECRET\nBits: AAA=\nCreated: 20161120000000\n",
			[]string{"test_key. hmac-md5 S"},
		},
		{"truncated", "k", `key k { algorithm hmac-sha256-128; secret "SECRET"; };`, []string{"k. hmac-sha256-128 S"}},
		{"truncated to all of it", "k", `key k { algorithm HMAC-SHA256-256; secret "SECRET"; };`, []string{"k. hmac-sha256 S"}},
		{
			"truncated, private file", "Kk.+163+64252.private", "Private-key-format: v1.3\nAlgorithm: 163 (HMAC_SHA256)\nKey: SECRET\nBits: AIA=\n",
			[]string{"k. hmac-sha256-128 S"},
		},
		{"private file of a name with a dot", "Ka.example.+161+00001.private", "Private-key-format: v1.2\r\nAlgorithm: 161\r\nKey: SECRET\r\n", []string{"a.example. hmac-sha1 S"}},
	}
	for _, tt := range tests {
		keys, err := parseKeys(tt.path, fileOf(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, describe(keys)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestEveryKeygenAlgorithm(t *testing.T) {
	tests := map[string]string{
		"157": "hmac-md5", "161": "hmac-sha1", "162": "hmac-sha224", "163": "hmac-sha256", "164": "hmac-sha384", "165": "hmac-sha512",
	}
	for number, want := range tests {
		record, err := parseKeys("f.key", "k. IN KEY 512 3 "+number+" "+fileSecret)
		if err != nil || record[0].Algorithm().String() != want {
			t.Errorf(".key file of %s: %v, %v, want %s", number, record, err, want)
		}
		private, err := parseKeys("Kk.+"+number+"+00001.private", "Private-key-format: v1.3\nAlgorithm: "+number+"\nKey: "+fileSecret)
		if err != nil || !private[0].Equal(record[0]) {
			t.Errorf(".private file of %s: %v, %v, want the key of the .key file", number, private, err)
		}
	}
}

func TestWrongKeyFiles(t *testing.T) {
	const good = "key k { algorithm hmac-sha1; secret \"SECRET\"; };\n"
	tests := []struct{ path, text, want string }{
		{"f", "", "f: no key; want clauses of the form key"},
		{"f", "# nothing\n", "f: no key; want clauses"},
		{"f", "; nothing\n", "f: no key; want clauses"},
		{"f", "include \"/etc/bind/other.key\";", "f:1: include is not supported; want the key clause itself"},
		{"f", good + "\ninclude \"x\";", "f:3: include is not supported"},
		{"f", good + "zone \"a\" { };", "f:2: not a key clause; want nothing else in the file"},
		{"f", "options { };\n" + good, "f:1: not a key; want clauses"},
		{"f", "SECRET\n", "f:1: not a key; want clauses"},
		{"f", "key", "f:1: want the name of the key after key"},
		{"f", "key {", "f:1: want the name of the key after key"},
		{"f", "key k\nalgorithm hmac-sha1;", "f:2: want { after the name of the key"},
		{"f", "key k {\n algorithm hmac-sha1\n secret \"SECRET\";\n};", "f:3: want ; after the value of algorithm"},
		{"f", "key k {\n secret \"SECRET\"\n algorithm hmac-sha1;\n};", "f:3: want ; after the value of secret"},
		{"f", "key k {\n algorithm hmac-sha1; secret \"SECRET\";\n}\n", "f:4: want ; after the } of a key clause"},
		{"f", "key k {\n algorithm hmac-sha1; secret;\n};", "f:2: want a value after secret"},
		{"f", "key k {\n algorithm hmac-sha1;\n secret \"SECRET\";\n", "f:4: want algorithm, secret or } here"},
		{"f", "key k {\n SECRET;\n};", "f:2: want algorithm, secret or } here"},
		{"f", "key k {\n algorithm hmac-sha1; algorithm hmac-sha1;\n};", "f:2: a second algorithm in one key clause"},
		{"f", "key k { algorithm hmac-sha256-120; secret \"SECRET\"; };", `"hmac-sha256-120" has a MAC of a wrong length; want hmac-sha256-BITS with a multiple of 8 from 128 to 256`},
		{"f", "key k { algorithm hmac-md5-72; secret \"SECRET\"; };", "a multiple of 8 from 80 to 128"},
		{"f", "key k { algorithm hmac-sha1-84; secret \"SECRET\"; };", "a multiple of 8 from 80 to 160"},
		{"f", "key k { algorithm hmac-sha1-168; secret \"SECRET\"; };", "a multiple of 8 from 80 to 160"},
		{"f", "key k { algorithm hmac-sha1-; secret \"SECRET\"; };", "a multiple of 8 from 80 to 160"},
		{"f", "key k { algorithm hmac-sha1--96; secret \"SECRET\"; };", "is not known"},
		{"Kk.+163+00001.private", "Private-key-format: v1.3\nAlgorithm: 163\nKey: SECRET\nBits: 128\n", "the line Bits: is not a number"},
		{"f", "\nkey k {\n secret \"SECRET\";\n};", "f:2: the key clause has no algorithm"},
		{"f", "\nkey k {\n algorithm hmac-sha1;\n};", "f:2: the key clause has no secret"},
		{"f", "key k {\n algorithm hmac-sha1; secret \"\"; };", "f:1: the key clause has no secret"},
		{"f", "key k { algorithm hmac-sha3; secret \"SECRET\"; };", `f:1: the key algorithm "hmac-sha3" is not known; want one of hmac-md5`},
		{"f", "key k { algorithm \"SECRET\"; secret hmac-sha1; };", "f:1: the key algorithm is not known"},
		{"f", "key k { algorithm hmac-sha1; secret \"!SECRET\"; };", "f:1: the key secret (not shown) is not base64"},
		{"f", "key \"\" { algorithm hmac-sha1; secret \"SECRET\"; };", "f:1: the key name is not a domain name"},
		{"f", "key . { algorithm hmac-sha1; secret \"SECRET\"; };", "f:1: the key name is not a domain name"},
		{"f", "key \"SECRET SECRET\" { algorithm hmac-sha1; secret \"SECRET\"; };", "f:1: the key name is not a domain name"},
		{"f", "key k {\n algorithm hmac-sha1;\n secret \"SECRET;\n};", `f:3: quoted text is not closed; want " after it`},
		{"f", "\n/* key", "f:2: comment is not closed; want */ after it"},
		{"f", "k. IN KEY 512 3 157", "f:1: not a key; want clauses"},
		{"f", "\nk. IN KEY 256 3 8 SECRET", "f:2: not the algorithm of a TSIG key; want one of 157 (HMAC_MD5), 161"},
		{"f", "; key\nk. IN DNSKEY 256 3 8 SECRET", "f:2: a DNSSEC key; want clauses"},
		{"f", "k. IN KEY 512 3 157 SECRET\nl. IN KEY 512 3 157 SECRET", "f:2: a second record; want one KEY record"},
		{"f", "k. IN KEY 512 3 157 !SECRET", "f:1: the key secret (not shown) is not base64"},
		{"Kk.+008+00001.private", "Private-key-format: v1.3\nAlgorithm: 8 (RSASHA256)\n", "private:2: not the algorithm of a TSIG key"},
		{"Kk.+157+00001.private", "Private-key-format: v1.3\nKey: SECRET\n", "private: no line of the form Algorithm:"},
		{"Kk.+157+00001.private", "Private-key-format: v1.3\nAlgorithm: 157\n", "private: no line of the form Key:"},
		{"k.private", "Private-key-format: v1.3\nAlgorithm: 157\nKey: SECRET\n", "k.private: only the file name says what the key is called; want the one dnssec-keygen gave it, such as Ktest_key.+157+64252.private"},
		{"Kk.+161+00001.private", "Private-key-format: v1.3\nAlgorithm: 157\nKey: SECRET\n", "only the file name says"},
		{"Ka%2fb.+157+00001.private", "Private-key-format: v1.3\nAlgorithm: 157\nKey: SECRET\n", "only the file name says"},
		{"Kk.+157+00001.private", "Private-key-format: v1.3\nAlgorithm: 157\nKey: !SECRET\n", "the key secret (not shown) is not base64"},
	}
	for _, tt := range tests {
		keys, err := parseKeys(tt.path, fileOf(tt.text))
		if err == nil {
			t.Errorf("%s\naccepted: %v, want an error with %s", tt.text, describe(keys), tt.want)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\nerror %v\nwant  %s", tt.text, err, tt.want)
		}
		if strings.Contains(err.Error(), fileSecret) {
			t.Errorf("%s\nshows the secret: %v", tt.text, err)
		}
	}
}

func TestKeyFilesAreReadFromTheDisk(t *testing.T) {
	dir := t.TempDir()
	text := fileOf("key k { algorithm hmac-sha1; secret \"SECRET\"; };\n")
	good, large := write(t, dir, "good.key", text), write(t, dir, "large.key", strings.Repeat(text, maxSecretFile/len(text)+1))
	g, err := ReadOptions([]string{"key_file", good})
	if err != nil || len(g.Keys) != 1 || g.Keys[0].Name() != "k." {
		t.Errorf("Group %v, error %v", g, err)
	}
	for path, want := range map[string]string{
		large:                          large + ": larger than 1048576 octets",
		dir:                            dir + ": not a regular file",
		filepath.Join(dir, "none.key"): "none.key: no such file",
	} {
		if _, err := ReadOptions([]string{"key_file", path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Error %v, want %s", err, want)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	for _, text := range []string{
		"key \"k\" {\n\talgorithm hmac-sha256;\n\tsecret \"SECRET\";\n};\n",
		"# a\n/* b */ key k { secret ab//; algorithm hmac-md5; }; // c",
		"k. 60 IN KEY 512 3 157 SECRET ; d",
		"Private-key-format: v1.3\nAlgorithm: 157 (HMAC_MD5)\nKey: SECRET\n",
		"key k { algorithm hmac-sha512-256; secret SECRET; };", "Private-key-format: v1.3\nAlgorithm: 163\nKey: SECRET\nBits: AIA=\n",
		"include \"x\";", "key \"", "/*",
	} {
		f.Add(fileOf(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys("Kk.+157+00001.private", text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("Keys %v, error %v", keys, err)
		}
		for _, k := range keys {
			again, err := xfr.NewKey(k.Name(), k.Algorithm().String(), k.Secret())
			if err != nil || !again.Equal(k) {
				t.Errorf("Key %s is not itself when it is written out: %v", k.Name(), err)
			}
		}
	})
}
