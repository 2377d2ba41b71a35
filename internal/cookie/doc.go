// Package cookie makes and checks DNS cookies (RFC 7873) in the form that servers of different makes understand (RFC 9018):
// whoever has the secret of a fleet can check what another server of it made. It has no socket and reads no clock.
package cookie
