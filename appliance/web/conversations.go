package web

import (
	"archive/zip"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/esasim/esasim/appliance/dissect"
)

// A conversationRow is a conversation in the table.
type conversationRow struct {
	Protocol, A, B   string
	PacketsA, BytesA string // that A has sent
	PacketsB, BytesB string
	Start, Duration  string // the start is in seconds since the first packet
	List             string // address of the list of its packets
	Stream           string
}

// A conversationsView is the data of the page of a capture's conversations.
type conversationsView struct {
	Name, Path, List, Filter string
	Rows                     []conversationRow
	More                     string // packets of conversations that are not listed
}

func (s *site) viewConversations(v *visit) error {
	o, err := s.openOrJoined(v)
	if o == nil {
		return err
	}
	defer o.Close()
	q := queryOf(v)
	filter, check, err := viewFilter(q.Filter)
	if err != nil {
		return err
	}
	if !check.OK {
		q.Filter, filter = "", nil
	}
	var list []dissect.Conversation
	var more int
	err = s.scanStream(v.Context(), func() (err error) {
		list, more, err = o.Conversations(v.Context(), filter)
		return err
	})
	if err != nil {
		return err
	}
	view := conversationsView{Name: o.info.Name(), Path: o.path, List: o.path + q.String(),
		Filter: q.Filter}
	if more > 0 {
		view.More = formatNumber(int64(more))
	}
	for _, c := range list {
		view.Rows = append(view.Rows, conversationRowOf(o, q, c))
	}
	v.title = "Conversations of " + view.Name
	return s.show(v, "conversations.html", view)
}

func conversationRowOf(o *openCapture, q viewQuery, c dissect.Conversation) conversationRow {
	row := conversationRow{
		Protocol: c.Protocol, A: c.A.String(), B: c.B.String(),
		PacketsA: formatNumber(int64(c.FromA.Packets)), BytesA: formatNumber(c.FromA.Bytes),
		PacketsB: formatNumber(int64(c.FromB.Packets)), BytesB: formatNumber(c.FromB.Bytes),
		Start:    fmt.Sprintf("%.6f", c.First.Sub(o.all.First).Seconds()),
		Duration: formatSpan(c.Last.Sub(c.First)),
	}
	only := fmt.Sprintf("host %v and host %v", c.A.Addr(), c.B.Addr())
	if c.Protocol == "IP" {
		row.A, row.B = c.A.Addr().String(), c.B.Addr().String()
		only += " and not tcp and not udp"
	} else {
		protocol := strings.ToLower(c.Protocol)
		only += fmt.Sprintf(" and %s port %d and %[1]s port %[3]d", protocol, c.A.Port(), c.B.Port())
	}
	row.List = o.path + viewQuery{only, q.Absolute}.String()
	if c.Protocol == "TCP" {
		row.Stream = fmt.Sprintf("%s/stream/%d", o.path, c.Number)
	}
	return row
}

// downloadZip sends several captures as one archive. Of a growing file it contains the part that
// exists now.
func (s *site) downloadZip(v *visit) error {
	names := v.Form["file"]
	if len(names) == 0 {
		return refuse(http.StatusBadRequest, "Choose the files to download.")
	}
	for _, name := range names { // a mistake is reported before the archive begins
		f, _, err := s.storedCapture(name)
		if err != nil {
			return err
		}
		f.Close()
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": "captures.zip"}))
	z := zip.NewWriter(s.permittedWriter(v))
	err := func() error {
		for _, name := range names {
			if err := s.addToZip(z, name); err != nil {
				return err
			}
		}
		return z.Close()
	}()
	if err != nil {
		panic(http.ErrAbortHandler) // the client must not take the archive for complete
	}
	return nil
}

func (s *site) addToZip(z *zip.Writer, name string) error {
	f, info, err := s.storedCapture(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := z.CreateHeader(&zip.FileHeader{
		Name: info.Name(), Method: zip.Deflate, Modified: info.ModTime(),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(f, 0, info.Size()))
	return err
}

// zipPath returns the address of an archive of captures.
func zipPath(names []string) string {
	return capturePage.Path + "/zip?" + url.Values{"file": names}.Encode()
}
