package engine_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// signingSo is the script of a primary that has version 2 and signs its one message of a transfer as sign does.
func signingSo(sign func(s *dnstest.Signer, msg []byte) []byte) dnstest.Handler {
	return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
		w.SendRaw(sign(r.Signer(secret), dnstest.Pack(r.Reply(after()...))))
	})
}

// signedSo is signingSo with a change of the signer.
func signedSo(change func(*dnstest.Signer)) dnstest.Handler {
	return signingSo(func(s *dnstest.Signer, msg []byte) []byte {
		change(s)
		return s.Sign(msg)
	})
}

// tsigCounted is the metric that counts signatures that do not hold.
func tsigCounted(reason string) []string { return []string{"tsig_failures_total", "reason", reason} }

// HP11: RFC 8945 §5.3, §5.4: whatever is odd about the signature, nothing of the message is taken.
func TestOddSignaturesAreRefused(t *testing.T) {
	odd := func(name, reason, log string, script dnstest.Handler) hostility {
		return hostility{name: name, key: true, script: script, reason: "tsig_" + reason, log: log, metric: tsigCounted(reason)}
	}
	unreadable := func(name string, sign func(*dnstest.Signer, []byte) []byte) hostility {
		return hostility{
			name: name, key: true, script: signingSo(sign), reason: "malformed", log: "TSIG record", metric: transfersCounted("malformed"),
		}
	}
	withstandsAll(t, []hostility{
		odd("spoilt MAC", "bad_sig", "the signature is wrong", signedSo(func(s *dnstest.Signer) { s.Corrupt = true })),
		// CVE-2017-3142, CVE-2017-3143; RFC 8945 §5.2.2.1.
		odd("MAC of half its length", "bad_trunc", "MAC has 128 bits", signedSo(func(s *dnstest.Signer) { s.Truncate = 16 })),
		odd("MAC of one octet", "bad_sig", "MAC has 1 octets", signedSo(func(s *dnstest.Signer) { s.Truncate = 1 })),
		odd("no MAC", "bad_sig", "MAC has 0 octets", signingSo(func(s *dnstest.Signer, msg []byte) []byte { return s.Append(msg, nil) })),
		odd("MAC too long", "bad_sig", "MAC has 64 octets", signingSo(func(s *dnstest.Signer, msg []byte) []byte {
			return s.Append(msg, make([]byte, 64))
		})),
		odd("timers only in the first message", "bad_sig", "the signature is wrong", signedSo(func(s *dnstest.Signer) { s.Timers = true })),
		// CVE-2016-7073, CVE-2017-11104: the MAC is right, the time is not.
		odd("signed in 1970", "bad_time", "clocks differ by", signedSo(func(s *dnstest.Signer) { s.Time = time.Unix(0, 0) })),
		odd("signed in the future", "bad_time", "clocks differ by", signedSo(func(s *dnstest.Signer) { s.Time = time.Now().Add(time.Hour) })),
		odd("no fudge", "bad_time", "clocks differ by", signedSo(func(s *dnstest.Signer) { s.Fudge, s.Time = 0, time.Now().Add(-time.Minute) })),
		odd("another algorithm", "bad_key", "signed with hmac-sha512.", signedSo(func(s *dnstest.Signer) { s.Algorithm = dns.HmacSHA512 })),
		odd("another key", "bad_key", "signed with key other.key.", signedSo(func(s *dnstest.Signer) { s.Key = "other.key." })),
		// CVE-2020-8617: an error that only a request could have caused.
		odd("BADTIME of no request", "bad_time", "clocks differ by", signedSo(func(s *dnstest.Signer) {
			s.Error, s.Other = dns.RcodeBadTime, []byte{0, 0, 0, 0, 0, 1}
		})),
		odd("unknown error", "bad_sig", "TSIG error 4095", signedSo(func(s *dnstest.Signer) { s.Error = 4095 })),
		// CVE-2016-7074.
		unreadable("TSIG that is not last", func(s *dnstest.Signer, msg []byte) []byte {
			signed := s.Sign(msg)
			signed[11]++ // one more additional record
			return append(signed, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0)
		}),
		unreadable("two TSIG records", func(s *dnstest.Signer, msg []byte) []byte { return s.Append(s.Sign(msg), s.MAC()) }),
		unreadable("TSIG that ends too soon", func(s *dnstest.Signer, msg []byte) []byte {
			signed := s.Sign(msg)
			signed[len(signed)-1] = 200 // Other Data of 200 octets
			return signed
		}),
	})
}

// signedRun sends version 2 in messages of one record: s are signed, u are not.
func signedRun(marks string) dnstest.Handler {
	return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
		s, all := r.Signer(secret), version(example, 2)
		for i, mark := range marks {
			record := all[1+i%3]
			if i == 0 || i == len(marks)-1 {
				record = all[0]
			}
			msg := dnstest.Pack(r.Reply(record))
			if mark == 's' {
				msg = s.Sign(msg)
			} else {
				s.Skip(msg)
			}
			if !w.SendRaw(msg) {
				return
			}
		}
	})
}

// HP12: RFC 8945 §5.3.1: at most 99 messages in a row are unsigned, and neither the first nor the last.
func TestRunsOfUnsignedMessages(t *testing.T) {
	run := func(first string, unsigned int, last string) string {
		marks := []byte(first)
		for range unsigned {
			marks = append(marks, 'u')
		}
		return string(append(marks, last...))
	}
	missing := func(name, log, marks string) hostility {
		return hostility{name: name, key: true, script: signedRun(marks), reason: "tsig_missing", log: log, metric: tsigCounted("missing")}
	}
	withstandsAll(t, []hostility{
		missing("100 unsigned", "more than 99 messages in a row", run("s", 100, "s")),
		missing("100 unsigned at the end", "more than 99 messages in a row", run("s", 100, "u")),
		missing("last unsigned", "last message of the answer is not signed", run("ss", 10, "")),
		missing("first unsigned", "not signed with key", run("u", 10, "s")),
		missing("none signed", "not signed with key", run("u", 4, "u")),
	})
	t.Run("99 unsigned", func(t *testing.T) {
		s := besiege(t, newKey(t, keyName, secret), nil)
		s.attacker.play(signedRun(run("s", 99, "s")))
		s.notify()
		s.serves(s.zone, 2)
		if n := s.zone.Contents().Records(); n != len(version(example, 2)) {
			t.Errorf("%d records; want %d", n, len(version(example, 2)))
		}
	})
}
