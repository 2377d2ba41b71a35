package httpapi

import (
	"embed"
	"net/http"
	"strconv"
)

// page holds the files of the status page.
//
//go:embed page
var page embed.FS

// openapi describes the API.
//
//go:embed openapi.json
var openapi []byte

// asset returns the handler of a file of the status page.
func asset(file, media string) handler {
	return func(_ *Server, w http.ResponseWriter, r *request) error {
		text, err := page.ReadFile("page/" + file)
		if err != nil {
			return err
		}
		serve(w, text, media)
		return nil
	}
}

func describe(_ *Server, w http.ResponseWriter, _ *request) error {
	serve(w, openapi, "application/json")
	return nil
}

// serve answers with what was built into the program.
func serve(w http.ResponseWriter, text []byte, media string) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}
