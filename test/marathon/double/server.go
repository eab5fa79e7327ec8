package double

import (
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
)

// handler serves one of the Marathons.
func (d *Double) handler(self int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.requests[r.Method+" "+r.URL.Path]++
		d.announce()
		leader, dead, status := d.leader, d.dead, 0
		if d.failing != nil {
			status = d.failing(r)
		}
		d.mu.Unlock()
		switch {
		case status != 0:
			reply(w, status, map[string]any{"message": http.StatusText(status)})
		case !d.admit(w, r):
		case leader < 0:
			page(w, r, http.StatusBadGateway, "Could not determine the current leader")
		case leader == self:
			w.Header().Set("X-Marathon-Leader", d.servers[leader].URL)
			d.serve(w, r)
		case r.URL.Path == "/v2/events":
			w.Header().Set("Location", d.servers[leader].URL+r.URL.RequestURI())
			w.WriteHeader(http.StatusFound)
		default:
			d.proxy(w, r, self, leader, dead)
		}
	})
}

// via is how a Marathon that is not the leader names itself to the leader.
func (d *Double) via(self int) string {
	return "1.1 " + strings.TrimPrefix(strings.TrimPrefix(d.servers[self].URL, "http://"), "https://")
}

// proxy answers as a Marathon that is not the leader.
func (d *Double) proxy(w http.ResponseWriter, r *http.Request, self, leader int, dead bool) {
	switch {
	case slices.Contains(r.Header.Values("X-Marathon-Via"), d.via(self)):
		page(w, r, http.StatusBadGateway, "Detected proxying loop.")
		return
	case dead:
		page(w, r, http.StatusBadGateway, "Connection to leader refused.")
		return
	case r.Method == http.MethodHead: // which the real one does not manage
		w.Header().Set("Connection", "close")
		page(w, r, http.StatusInternalServerError, "Server Error")
		return
	}
	answer := httptest.NewRecorder()
	answer.Header().Set("X-Marathon-Leader", d.servers[leader].URL)
	d.serve(answer, r)
	header := w.Header()
	maps.Copy(header, answer.Header())
	header.Set("X-Marathon-Via", d.via(self))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// admit reports whether a request has the credentials that are wanted, and refuses
// it otherwise.
func (d *Double) admit(w http.ResponseWriter, r *http.Request) bool {
	got := r.Header.Get("Authorization")
	switch {
	case d.opts.Token != nil:
		if got == "token="+d.opts.Token() {
			return true
		}
	case d.opts.User == "":
		return true
	default:
		scheme, text, _ := strings.Cut(got, " ")
		if strings.EqualFold(scheme, "basic") {
			plain, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				w.Header().Set("Connection", "close")
				page(w, r, http.StatusInternalServerError, "Server Error")
				return false
			}
			if string(plain) == d.opts.User+":"+d.opts.Password {
				return true
			}
		}
	}
	w.Header().Set("WWW-Authenticate", `basic realm="null"`)
	page(w, r, http.StatusUnauthorized, "Unauthorized")
	return false
}

// page answers with an error page of the web server's: in HTML, to GET, HEAD and POST
// alone, and only where HTML is accepted.
func page(w http.ResponseWriter, r *http.Request, status int, reason string) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	wants := accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, "text/html")
	if !wants || !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, r.Method) {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "text/html;charset=iso-8859-1")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	reason = html.EscapeString(reason)
	_, _ = fmt.Fprintf(w, "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\"/>\n<title>Error %d %s</title>\n</head>\n"+
		"<body><h2>HTTP ERROR %d</h2>\n<p>Problem accessing %s. Reason:\n<pre>    %s</pre></p>\n</body>\n</html>\n",
		status, reason, status, html.EscapeString(r.URL.Path), reason)
}

// boilerplate are headers that all answers of a leader have.
func boilerplate(w http.ResponseWriter) {
	for name, value := range map[string]string{
		"X-Frame-Options": "DENY", "X-XSS-Protection": "1; mode=block", "Cache-Control": "no-cache, no-store, must-revalidate",
		"Pragma": "no-cache", "Expires": "0",
	} {
		w.Header().Set(name, value)
	}
}

// reply answers in JSON.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(must(body))
}

// refuse answers with a message and, where there are any, details.
func refuse(w http.ResponseWriter, status int, message string, details any) {
	body := map[string]any{"message": message}
	if details != nil {
		body["details"] = details
	}
	reply(w, status, body)
}

func notAllowed(w http.ResponseWriter) {
	refuse(w, http.StatusMethodNotAllowed, "Method Not Allowed", nil)
}
