package xfr

import (
	"crypto/hmac"
	"encoding/binary"
	"hash"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

const (
	// tsigFudge is how many seconds the clocks may differ (RFC 8945 §10 recommends 300).
	tsigFudge = 300

	// maxUnsigned is how many messages may stand unsigned between two signed ones (RFC 8945 §5.3.1).
	maxUnsigned = 99
)

// The TSIG error codes (RFC 8945 §3).
const (
	tsigNoError  = 0
	tsigBadSig   = 16
	tsigBadKey   = 17
	tsigBadTime  = 18
	tsigBadTrunc = 22
)

// maxMAC is the longest MAC of any Algorithm, in octets.
const maxMAC = 64

// Sign appends to msg, which may not have one yet, a TSIG record made with k at the time now, and returns the message and
// its MAC. requestMAC is the MAC of the request that msg answers, or nil if msg is a request (RFC 8945 §4.3).
// The array under msg is used if it has room.
func Sign(msg []byte, k *Key, requestMAC []byte, now time.Time) (signed, mac []byte) {
	return k.sign(msg, requestMAC, &tsig{signed: uint64(now.Unix())})
}

// SignRejection signs the reply to a request whose signature is right but was made at requestTime, too far from now, or is
// shorter than the key wants; why is the error of VerifyRequest. For the time the reply says BADTIME, repeats the time of the
// request and tells ours (RFC 8945 §5.2.3), for the length BADTRUNC (§5.2.4).
func SignRejection(msg []byte, k *Key, requestMAC []byte, why error, requestTime uint64, now time.Time) []byte {
	t := tsig{signed: uint64(now.Unix()), code: tsigBadTrunc}
	if reason.Of(why) == reason.TSIGBadTime {
		t = tsig{signed: requestTime, code: tsigBadTime, other: binary.BigEndian.AppendUint64(nil, t.signed)[2:]}
	}
	signed, _ := k.sign(msg, requestMAC, &t)
	return signed
}

// sign appends to msg the TSIG record that t stands for, with the MAC it makes.
func (k *Key) sign(msg, requestMAC []byte, t *tsig) (signed, mac []byte) {
	h := hmac.New(k.algorithm.hash, k.secret)
	if requestMAC != nil {
		digestMAC(h, requestMAC)
	}
	t.fudge, t.originalID = tsigFudge, binary.BigEndian.Uint16(msg)
	h.Write(msg)
	h.Write(appendVariables(nil, k, t))
	mac = h.Sum(nil)[:k.macLen(requestMAC)]
	return k.appendTSIG(msg, t, mac), mac
}

// macLen returns how many octets of a MAC the answer to a request has. A request that has more of its MAC than the key wants
// comes from one that may want as much: BIND does the same.
func (k *Key) macLen(requestMAC []byte) int {
	return max(k.algorithm.mac, min(len(requestMAC), k.algorithm.size))
}

// appendTSIG appends to msg the TSIG record that t stands for, with a MAC.
func (k *Key) appendTSIG(msg []byte, t *tsig, mac []byte) []byte {
	signed := append(msg, k.name...)
	signed = binary.BigEndian.AppendUint16(signed, wire.TypeTSIG)
	signed = binary.BigEndian.AppendUint16(signed, wire.ClassANY)
	signed = binary.BigEndian.AppendUint32(signed, 0)
	signed = binary.BigEndian.AppendUint16(signed, uint16(len(k.algorithm.name)+16+len(mac)+len(t.other)))
	signed = append(signed, k.algorithm.name...)
	signed = appendTimers(signed, t)
	signed = binary.BigEndian.AppendUint16(signed, uint16(len(mac)))
	signed = append(signed, mac...)
	signed = binary.BigEndian.AppendUint16(signed, t.originalID)
	signed = binary.BigEndian.AppendUint16(signed, t.code)
	signed = binary.BigEndian.AppendUint16(signed, uint16(len(t.other)))
	signed = append(signed, t.other...)
	addAdditional(signed, 1)
	return signed
}

// signRequest signs msg with k and returns the Stream for its answers; without a key it returns msg and nil.
func signRequest(msg []byte, k *Key) ([]byte, *Stream) {
	if k == nil {
		return msg, nil
	}
	signed, mac := Sign(msg, k, nil, time.Now())
	return signed, NewStream(k, mac)
}

// VerifyRequest checks that msg, a request such as a NOTIFY, is signed with k now, and returns the MAC that the reply has
// to be signed over. The MAC is nil unless the signature is right, whatever its time and length: a reply that says so must
// be signed too (RFC 8945 §5.2.3, §5.2.4). The reason of an error is Malformed or one of the TSIG reasons. msg is left as it is.
func VerifyRequest(msg []byte, k *Key, now time.Time) (requestMAC []byte, err error) {
	return NewRequestVerifier(k).Verify(msg, now)
}

// VerifyAnswer checks that msg, the only message that answers a request, is signed with k now; requestMAC is the MAC of the request.
// The reason of an error is what Stream.Verify would tell.
func VerifyAnswer(msg []byte, k *Key, requestMAC []byte, now time.Time) error {
	_, err := NewStream(k, requestMAC).verify(append([]byte(nil), msg...), now)
	return err
}

// RequestVerifier does what VerifyRequest does for messages of which only one may be right, and costs little for those that
// are wrong. It is not safe for concurrent use.
type RequestVerifier struct {
	key     *Key
	digest  hash.Hash
	finder  tsigFinder
	scratch []byte
	sum     []byte
	wrong   *Error // made once
}

// NewRequestVerifier returns the RequestVerifier for k.
func NewRequestVerifier(k *Key) *RequestVerifier {
	return &RequestVerifier{key: k, digest: hmac.New(k.algorithm.hash, k.secret), sum: make([]byte, 0, maxMAC)}
}

// Verify is VerifyRequest.
func (v *RequestVerifier) Verify(msg []byte, now time.Time) (requestMAC []byte, err error) {
	k := v.key
	t, err := v.finder.find(msg)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, failure(reason.TSIGMissing, "the request is not signed; key %s is required", k.Name())
	}
	if err := k.fits(t); err != nil {
		if reason.Of(err) == reason.TSIGBadSig {
			err = malformed(err) // RFC 8945 §5.2.2.1: a length that no MAC has is a FORMERR
		}
		return nil, err
	}
	v.digest.Reset()
	v.scratch = appendVariables(digestMessage(v.digest, v.scratch, msg, t)[:0], k, t)
	v.digest.Write(v.scratch)
	if v.sum = v.digest.Sum(v.sum[:0]); !hmac.Equal(v.sum[:len(t.mac)], t.mac) {
		if v.wrong == nil {
			v.wrong = BadSignature(k)
		}
		return nil, v.wrong
	}
	return append([]byte(nil), t.mac...), t.check(k, now)
}

// Stream checks the answers to one signed request, message by message (RFC 8945 §5.3.1, §5.4): each signed one is
// checked, up to 99 in a row may be unsigned, and neither the first nor the last. It is not safe for concurrent use.
type Stream struct {
	key      *Key
	digest   hash.Hash // of the prior MAC and of the messages since
	finder   tsigFinder
	sum      []byte
	scratch  []byte
	messages int
	unsigned int // messages since the last signed one
}

// NewStream returns the Stream for the answers to a request that was signed with k and has the MAC requestMAC.
func NewStream(k *Key, requestMAC []byte) *Stream {
	s := &Stream{key: k, digest: hmac.New(k.algorithm.hash, k.secret), sum: make([]byte, 0, maxMAC)}
	digestMAC(s.digest, requestMAC)
	return s
}

// Verify checks the next message and returns it without its TSIG record. It changes msg in place.
//
// What an unsigned message says may be used only once a later Verify or Finish has found it covered by a signature.
// After an error the Stream is of no more use.
func (s *Stream) Verify(msg []byte) (plain []byte, err error) { return s.verify(msg, time.Now()) }

func (s *Stream) verify(msg []byte, now time.Time) ([]byte, error) {
	s.messages++
	t, err := s.finder.find(msg)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return msg, s.unsignedMessage(msg)
	}
	if err := t.reported(s.key, now); err != nil {
		return nil, err
	}
	if err := s.key.fits(t); err != nil {
		return nil, err
	}
	s.scratch = digestMessage(s.digest, s.scratch, msg, t)[:0]
	if s.messages == 1 {
		s.scratch = appendVariables(s.scratch, s.key, t)
	} else {
		s.scratch = appendTimers(s.scratch, t) // RFC 8945 §5.3.1: later messages digest the timers only
	}
	s.digest.Write(s.scratch)
	s.sum = s.digest.Sum(s.sum[:0])
	if s.sum = s.sum[:len(t.mac)]; !hmac.Equal(s.sum, t.mac) {
		return nil, BadSignature(s.key)
	}
	if err := t.check(s.key, now); err != nil {
		return nil, err
	}
	s.unsigned = 0
	s.digest.Reset()
	s.scratch = appendMAC(s.scratch[:0], s.sum)
	s.digest.Write(s.scratch)
	plain := msg[:t.begin]
	addAdditional(plain, -1)
	return plain, nil
}

func (s *Stream) unsignedMessage(msg []byte) error {
	if s.messages == 1 {
		// An error that is not signed proves nothing but that we failed, and says more than the missing signature.
		if rcode := fullRcode(msg); rcode != 0 {
			return rcodeError(rcode, " (the answer is not signed)")
		}
		// RFC 8945 §5.3.1: the first message must be signed.
		return failure(reason.TSIGMissing, "the answer is not signed with key %s: the primary does not use the key for this zone", s.key.Name())
	}
	if s.unsigned++; s.unsigned > maxUnsigned {
		return failure(reason.TSIGMissing, "more than %d messages in a row are not signed with key %s", maxUnsigned, s.key.Name())
	}
	s.digest.Write(msg)
	return nil
}

// Finish reports, once the answer is whole, an error unless its last message was signed.
func (s *Stream) Finish() error {
	if s.messages == 0 || s.unsigned > 0 {
		// RFC 8945 §5.3.1: the last message must be signed.
		return failure(reason.TSIGMissing, "the last message of the answer is not signed with key %s", s.key.Name())
	}
	return nil
}

// reported returns the error that the primary put into the TSIG record, or nil. Those that say that our key or signature
// is wrong cannot be signed (RFC 8945 §5.3.2), and none is verified: whoever sent it, all it does is make us fail.
func (t *tsig) reported(k *Key, now time.Time) error {
	var e *Error
	switch t.code {
	case tsigNoError:
		return nil
	case tsigBadKey:
		e = failure(reason.TSIGBadKey, "the primary does not know key %s with %s (BADKEY)", k.Name(), k.algorithm)
	case tsigBadSig:
		e = failure(reason.TSIGBadSig, "the primary finds our signature wrong (BADSIG): the secrets of key %s differ", k.Name())
	case tsigBadTime:
		e = failure(reason.TSIGBadTime, "the primary finds our time wrong (BADTIME)")
		if len(t.other) == 6 { // RFC 8945 §5.2.3: Other Data is the time of the primary
			e = ClocksDiffer(now, uint48(t.other))
		}
	case tsigBadTrunc:
		e = failure(reason.TSIGBadTrunc, "the primary finds the MAC of %d bits of key %s too short (BADTRUNC)", k.algorithm.mac*8, k.Name())
	default:
		e = failure(reason.TSIGBadSig, "the primary answers TSIG error %d for key %s", t.code, k.Name())
	}
	e.answer = true
	return e
}

// fits returns an error unless t was made with a key of k's name and algorithm and has a MAC of a length that may be.
func (k *Key) fits(t *tsig) error {
	if !t.key.Equal(k.name) {
		return failure(reason.TSIGBadKey, "the message is signed with key %s; expected is key %s", t.key, k.Name())
	}
	if !t.algorithm.Equal(k.algorithm.name) {
		return failure(reason.TSIGBadKey, "the message is signed with %s; expected is %s for key %s", t.algorithm, k.algorithm, k.Name())
	}
	if least := k.algorithm.least(); len(t.mac) < least || len(t.mac) > k.algorithm.size {
		return failure(reason.TSIGBadSig, "the MAC has %d octets; expected are %d to %d for key %s", len(t.mac), least, k.algorithm.size, k.Name())
	}
	return nil
}

// check returns an error unless t, whose MAC is right, is also recent and has as much of its MAC as k wants: RFC 8945 §5.2 looks
// at the time, then at the length.
func (t *tsig) check(k *Key, now time.Time) error {
	if err := t.checkTime(now); err != nil {
		return err
	}
	if len(t.mac) < k.algorithm.mac {
		return failure(reason.TSIGBadTrunc, "the MAC has %d bits; key %s wants %d or more",
			len(t.mac)*8, k.Name(), k.algorithm.mac*8)
	}
	return nil
}

// checkTime returns an error unless t was signed within its fudge of now (RFC 8945 §5.2.3).
func (t *tsig) checkTime(now time.Time) error {
	skew := now.Unix() - int64(t.signed)
	if max(skew, -skew) > int64(t.fudge) {
		return ClocksDiffer(now, t.signed)
	}
	return nil
}

// ClocksDiffer returns the error of a message signed at theirs, in seconds since 1970, too far from now.
func ClocksDiffer(now time.Time, theirs uint64) *Error {
	skew := now.Unix() - int64(theirs)
	return failure(reason.TSIGBadTime, "clocks differ by %d s", max(skew, -skew))
}

// BadSignature returns the error of a message whose MAC is not the one k makes.
func BadSignature(k *Key) *Error {
	return failure(reason.TSIGBadSig, "the signature is wrong: the secrets of key %s differ, or the message was changed on its way", k.Name())
}

// digestMessage digests msg as it was before the record t was added (RFC 8945 §4.3.2), and returns the buffer it used.
func digestMessage(h hash.Hash, buf, msg []byte, t *tsig) []byte {
	buf = append(buf[:0], msg[:wire.HeaderLen]...)
	binary.BigEndian.PutUint16(buf, t.originalID)
	addAdditional(buf, -1)
	h.Write(buf)
	h.Write(msg[wire.HeaderLen:t.begin])
	return buf
}

func digestMAC(h hash.Hash, mac []byte) { h.Write(appendMAC(nil, mac)) }

// appendMAC appends a prior MAC in the form it is digested in (RFC 8945 §4.3.1).
func appendMAC(dst, mac []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(mac))), mac...)
}

// appendVariables appends the TSIG variables (RFC 8945 §4.3.3).
func appendVariables(dst []byte, k *Key, t *tsig) []byte {
	dst = append(dst, k.name...)
	dst = binary.BigEndian.AppendUint16(dst, wire.ClassANY)
	dst = binary.BigEndian.AppendUint32(dst, 0) // TTL
	dst = append(dst, k.algorithm.name...)
	dst = appendTimers(dst, t)
	dst = binary.BigEndian.AppendUint16(dst, t.code)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.other)))
	return append(dst, t.other...)
}

func appendTimers(dst []byte, t *tsig) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(t.signed>>32))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.signed))
	return binary.BigEndian.AppendUint16(dst, t.fudge)
}

// addAdditional adds n to the ARCOUNT of msg.
func addAdditional(msg []byte, n int) {
	count := int(binary.BigEndian.Uint16(msg[10:]))
	binary.BigEndian.PutUint16(msg[10:], uint16(count+n))
}

func uint48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}
