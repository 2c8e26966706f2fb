package assets_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/esasim/esasim/appliance/assets"
)

// get returns the answer to a request for a path.
func get(s *assets.Set, path string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+assets.Folder+"{name}", s.Serve)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// An asset is found at its path, which another content changes.
func TestPathsFollowTheContent(t *testing.T) {
	read := func(text string) *assets.Set {
		return assets.Read(fstest.MapFS{"assets/page.css": {Data: []byte(text)}}, "assets")
	}
	first, second := read("a { color: red }"), read("a { color: blue }")
	path := first.Paths()["page_css"]
	w := get(first, path)
	if w.Code != http.StatusOK || w.Body.String() != "a { color: red }" ||
		w.Header().Get("Content-Type") != "text/css; charset=utf-8" ||
		w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
	}
	if w := get(second, path); w.Code != http.StatusNotFound {
		t.Errorf("the path of another content: %d", w.Code)
	}
	if w := get(first, assets.Folder+"page.css"); w.Code != http.StatusNotFound {
		t.Errorf("without a digest: %d", w.Code)
	}
}
