// Package corefile is the language of settings: it turns the words of a Corefile, and those of a command line that mean the
// same, into values. One table has all options: how each is written, what it is for, and how it is read.
//
// It knows nothing of CoreDNS but the form of its tokens, opens nothing and starts nothing: files that options name are
// read. Errors name the line, what was read and what would be right, and never show a secret.
package corefile
