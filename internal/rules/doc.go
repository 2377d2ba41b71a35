// Package rules says which records of one owner exclude each other, so that some of them are not served. It is pure; what
// becomes of a version that has such records is decided by package version.
package rules
