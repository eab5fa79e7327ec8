package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
)

// What Marathon's refusals are, for errors.Is.
var (
	ErrInvalid      = errors.New("marathon: the definition is not valid")       // 400, 422
	ErrUnauthorized = errors.New("marathon: the credentials are refused")       // 401, 403
	ErrNotFound     = errors.New("marathon: there is none")                     // 404
	ErrLocked       = errors.New("marathon: a deployment has it locked")        // 409 with deployments
	ErrExists       = errors.New("marathon: it exists")                         // 409 without
	ErrUnavailable  = errors.New("marathon: no leader can be asked at present") // 502, 503, 504
)

// Error is an answer of Marathon's that is no success.
type Error struct {
	Status      int
	URL         string // that was asked, without credentials
	Message     string
	Details     []string // what is wrong with which part of a definition
	Deployments []string // that have the app locked
}

// Error says what Marathon has said.
func (e *Error) Error() string {
	text := fmt.Sprintf("Marathon at %s answers %d", e.URL, e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if len(e.Details) > 0 {
		text += " (" + strings.Join(e.Details, "; ") + ")"
	}
	if len(e.Deployments) > 0 {
		text += " (deployments " + strings.Join(e.Deployments, ", ") + ")"
	}
	return text
}

// Is reports whether the error is of a kind.
func (e *Error) Is(kind error) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return kind == ErrInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return kind == ErrUnauthorized
	case http.StatusNotFound:
		return kind == ErrNotFound
	case http.StatusConflict:
		if len(e.Deployments) > 0 {
			return kind == ErrLocked
		}
		return kind == ErrExists
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return kind == ErrUnavailable
	default:
		return false
	}
}

// Bounds of what is kept of a refusal.
const (
	maxRefusal = 64 << 10 // bytes that are read
	maxMessage = 500      // characters of a text
	maxDetails = 20
)

// refusal reads what an answer that is no success says. Whatever it is, it is
// shortened and has no control characters: it ends up in logs and on screens.
func refusal(status int, url string, body []byte) *Error {
	e := &Error{Status: status, URL: url}
	var said struct {
		Message     any             `json:"message"`
		Details     json.RawMessage `json:"details"` // a list, or a text where the body was no JSON
		Deployments []struct {
			ID string `json:"id"`
		} `json:"deployments"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		e.Message = plain(cmp.Or(pageTitle(body), http.StatusText(status)))
		return e
	}
	if text, ok := said.Message.(string); ok {
		e.Message = plain(text)
	}
	var text string
	if json.Unmarshal(said.Details, &text) == nil && text != "" {
		e.Details = append(e.Details, plain(text))
	}
	var details []json.RawMessage
	_ = json.Unmarshal(said.Details, &details)
	for _, raw := range details {
		var d struct {
			Path   string   `json:"path"`
			Errors []string `json:"errors"`
		}
		if json.Unmarshal(raw, &d) == nil && len(e.Details) < maxDetails {
			e.Details = append(e.Details, plain(d.Path+": "+strings.Join(d.Errors, ", ")))
		}
	}
	for _, d := range said.Deployments {
		if len(e.Deployments) < maxDetails {
			e.Deployments = append(e.Deployments, plain(d.ID))
		}
	}
	return e
}

// titleOf finds the title of the web server's error page, without the status.
var titleOf = regexp.MustCompile(`(?is)<title>\s*(?:Error \d+ )?(.*?)\s*</title>`)

// pageTitle returns what an answer in HTML says, "" for nothing.
func pageTitle(body []byte) string {
	if m := titleOf.FindSubmatch(body); m != nil {
		return html.UnescapeString(string(m[1]))
	}
	return ""
}

// plain shortens a text from outside and takes control characters out.
func plain(text string) string {
	runes := make([]rune, 0, min(len(text), maxMessage))
	for _, r := range text {
		if len(runes) == maxMessage {
			return string(runes) + "..."
		}
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		runes = append(runes, r)
	}
	return string(runes)
}
