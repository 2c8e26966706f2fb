package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"strings"
)

// Folder is the path below which pages find assets.
const Folder = "/assets/"

// A Set is the assets of a folder. It does not change; its methods are safe for concurrent use.
type Set struct {
	byName map[string]asset  // name in pages, without Folder
	paths  map[string]string // as Paths returns them
}

type asset struct {
	data []byte
	kind string
}

// Read returns the assets in a folder of embedded files. It panics if there is no such folder.
func Read(files fs.FS, folder string) *Set {
	s := &Set{map[string]asset{}, map[string]string{}}
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		panic(err) // it is embedded
	}
	for _, e := range entries {
		data, err := fs.ReadFile(files, folder+"/"+e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		stem, ext, _ := strings.Cut(e.Name(), ".")
		name := stem + "-" + hex.EncodeToString(sum[:6]) + "." + ext
		s.byName[name] = asset{data, mime.TypeByExtension("." + ext)}
		s.paths[stem+"_"+ext] = Folder + name
	}
	return s
}

// Paths returns the paths of the assets for the addresses in pages. The key of page.css is page_css,
// as templates need it. The map belongs to the caller.
func (s *Set) Paths() map[string]string { return maps.Clone(s.paths) }

// Serve answers with the asset that the path value "name" names, or with status 404.
func (s *Set) Serve(w http.ResponseWriter, r *http.Request) {
	a, ok := s.byName[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.data) // an error means that the client has gone
}
