package web

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strings"

	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/files"
)

// maxUpload bounds the size of a capture of the user's own.
const maxUpload = 64 << 20

// openPath is the address to which the form with such a capture is sent.
const openPath = "/open"

// isUpload reports whether the body of a request may be as large as maxUpload.
func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == capturePage.Path+openPath
}

// openOwn stores a capture that the user has sent, beside the appliance's own, and shows it.
func (s *site) openOwn(v *visit) error {
	name, err := s.storeUpload(v)
	if err != nil {
		return v.redirectRefused(capturePage.Path, err)
	}
	return v.redirect(viewPath(name), "")
}

// storeUpload returns the name of the file. Errors that the user can do something about are
// refusals.
func (s *site) storeUpload(v *visit) (string, error) {
	parts, err := v.MultipartReader()
	if err != nil {
		return "", refuse(http.StatusBadRequest, "The form cannot be read.")
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "capture" {
		return "", refuse(http.StatusBadRequest, "The form cannot be read.")
	}
	name := captureName(part.FileName())
	if name == "" {
		return "", refuse(http.StatusBadRequest, "Choose a file to open.")
	}
	head := make([]byte, 24)
	n, err := io.ReadFull(part, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", uploadError(err)
	}
	if bytes.HasPrefix(head, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		return "", refuse(http.StatusUnprocessableEntity, "%s is in the format pcapng. "+
			"Save it in the format pcap, and open that file.", part.FileName())
	}
	if _, err := dissect.Open(bytes.NewReader(head[:n]), int64(n)); err != nil {
		return "", err
	}
	return name, s.copyUpload(path.Join(files.Diagnostic, name), head, part)
}

func (s *site) copyUpload(to string, head []byte, part *multipart.Part) error {
	if _, err := s.appliance.Files.Stat(to); err == nil {
		return refuse(http.StatusConflict, "There is a file %s already. "+
			"Rename yours, or delete that one.", path.Base(to))
	}
	f, err := s.appliance.Files.Create(to)
	if err != nil {
		return uploadError(err)
	}
	_, err = io.Copy(f, io.MultiReader(bytes.NewReader(head), part))
	err = errors.Join(err, f.Close())
	if err != nil {
		return errors.Join(uploadError(err), s.appliance.Files.Remove(to))
	}
	return nil
}

// uploadError translates errors into refusals.
func uploadError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "The file is larger than %s.",
			formatSize(maxUpload))
	case errors.Is(err, files.ErrQuota):
		return refuse(http.StatusInsufficientStorage, "There is not enough disk space for the file.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "The file has not arrived completely.")
	}
	return err
}

// captureName returns the name under which a file is stored, "" if it has none: letters, digits and
// some signs, with the ending of captures.
func captureName(name string) string {
	name = strings.TrimSpace(name[strings.LastIndexAny(name, `/\`)+1:])
	for _, ending := range []string{".pcap", ".cap", ".dmp"} {
		name = strings.TrimSuffix(name, ending)
	}
	name = strings.Map(func(c rune) rune {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if plain || strings.ContainsRune("._-", c) {
			return c
		}
		return '_'
	}, name)
	name = strings.TrimLeft(name, ".")
	if name == "" {
		return ""
	}
	return name[:min(len(name), 100)] + ".cap"
}
