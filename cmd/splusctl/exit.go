package main

import (
	"context"
	"errors"

	"github.com/secondaryplus/secondaryplus/control"
)

// The codes that the program exits with; exitHelp says them to people.
const (
	exitFine        = 0
	exitBadNews     = 1
	exitUsage       = 2
	exitNotReached  = 3
	exitRefused     = 4
	exitInterrupted = 130 // what a shell gives to a program that SIGINT ends
)

const exitHelp = `Exit codes:
    0  fine
    1  bad news: a zone is Blocked or not served (status, zone), the store fails (status), one of our
       own secondaries is failing (secondaries), a zone fails its check, or what was waited for has failed
    2  wrong usage: an unknown word, a Corefile with a mistake, a file that cannot be read or written
    3  the server was not reached
    4  the server refused, and said why
  130  interrupted`

// exitError ends the program with code. It is a plain value.
type exitError struct {
	code int
	text string // for people, on the standard error output; empty where the output has said it
}

func (e *exitError) Error() string { return e.text }

// exitCode returns the code that err ends the program with. What has no code of its own is of cobra: wrong usage.
func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &exit):
		return exit.code
	default:
		return exitUsage
	}
}

// unanswered gives an error of the client its code.
func unanswered(err error) error {
	var problem *control.Problem
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return &exitError{exitInterrupted, "interrupted"}
	case errors.As(err, &problem):
		return &exitError{exitRefused, "the server refused: " + problem.Error()}
	default:
		return &exitError{exitNotReached, "the server was not reached: " + err.Error()}
	}
}
