package web

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/files"
)

// captureRoutes registers Help and Support > Packet Capture.
func (s *site) captureRoutes(mux *http.ServeMux) {
	s.route(mux, capturePage, "GET", "", s.showCaptures)
	s.route(mux, capturePage, "POST", "/start", s.startCapture)
	s.route(mux, capturePage, "POST", "/stop", s.stopCapture)
	s.route(mux, capturePage, "POST", "/files", s.handleSelection)
	s.route(mux, capturePage, "GET", "/files/{name}", s.downloadCapture)
	s.route(mux, capturePage, "GET", "/delete", s.confirmDelete)
	s.route(mux, capturePage, "POST", "/delete", s.deleteFiles)
	s.route(mux, capturePage, "GET", "/settings", s.showSettings)
	s.route(mux, capturePage, "POST", "/settings", s.saveSettings)
	s.background(mux, capturePage, "/status", s.captureStatus)
	s.background(mux, capturePage, "/list", s.captureList)
	s.background(mux, capturePage, "/check", s.checkFilter)
	s.background(mux, capturePage, "/check/view", s.checkViewFilter)
	s.route(mux, capturePage, "GET", "/view/{name}", s.viewCapture)
	s.route(mux, capturePage, "GET", "/view/{name}/packet/{number}", s.viewPacket)
	s.route(mux, capturePage, "GET", "/view/{name}/stream/{number}", s.viewStream)
}

// A captureView is the page's (B14, B15).
type captureView struct {
	Now      captureState
	Settings []setting
	captureFiles
}

// captureFiles are the stored ones (B14).
type captureFiles struct {
	Files []captureFile
	Used  string
	Quota string
}

// captureNow is the state of the capture in progress, for the page and for its script.
type captureState struct {
	Running  bool   `json:"running"`
	Duration string `json:"duration"`
	File     string `json:"file"`
	Size     string `json:"size"`
	Packets  string `json:"packets"`
	Dropped  string `json:"dropped"`
	Progress int    `json:"progress"` // percent of the size limit
	Last     string `json:"last"`     // why the last capture ended, if nobody ended it
	Failed   bool   `json:"failed"`   // that was not as it was set up
}

type setting struct{ Name, Value string }

type captureFile struct {
	Name, Size, Time string
	Bytes            int64
	Growing          bool
}

func (s *site) captureNow() (captureState, capture.Status) {
	st := s.appliance.Captures.Status(capture.GUI)
	now := captureState{
		Running: st.Running, Duration: capture.FormatDuration(st.Elapsed.Truncate(time.Second)), File: st.File,
		Size: formatSize(st.Size), Packets: formatNumber(int64(st.Packets)), Dropped: formatNumber(int64(st.Dropped)),
	}
	if limit := int64(st.Settings.SizeMB) << 20; limit > 0 {
		now.Progress = int(min(100, st.Size*100/limit))
	}
	if !st.Running && st.Reason != capture.NotEnded && st.Reason != capture.ByUser {
		now.Last = fmt.Sprintf("The last capture ended: %v.", st.Reason)
		now.Failed = st.Reason != capture.DurationReached && st.Reason != capture.SizeReached
	}
	return now, st
}

// captureStatus is what the page refreshes itself with, whether or not a capture runs: it
// may have been started elsewhere.
func (s *site) captureStatus(v *visit) error {
	now, _ := s.captureNow()
	return answerJSON(v.w, now)
}

// captureList is the list of files alone, for which the page asks when the capture has
// begun, ended, or begun another file.
func (s *site) captureList(v *visit) error {
	list, err := s.captureFiles()
	if err != nil {
		return err
	}
	return answerPart(v.w, "captures.html", "files", list)
}

func (s *site) showCaptures(v *visit) error {
	now, st := s.captureNow()
	settings := s.appliance.Captures.Settings()
	if st.Running {
		settings = st.Settings
	}
	list, err := s.captureFiles()
	if err != nil {
		return err
	}
	return s.show(v, "captures.html", captureView{now, settingRows(settings), list})
}

func (s *site) captureFiles() (captureFiles, error) {
	var view captureFiles
	list, err := s.appliance.Captures.Files(capture.GUI)
	if err != nil {
		return view, err
	}
	for _, f := range list {
		view.Files = append(view.Files, captureFile{
			Name: f.Name(), Size: formatSize(f.Size()), Time: s.formatTime(f.ModTime()), Bytes: f.Size(), Growing: s.appliance.Captures.IsBeingWritten(f.Name()),
		})
	}
	slices.SortStableFunc(view.Files, func(a, b captureFile) int { return strings.Compare(b.Name, a.Name) }) // the newest first
	used, quota := s.appliance.Files.Usage()
	view.Used = formatSize(used)
	if quota > 0 {
		view.Quota = formatSize(quota)
	}
	return view, nil
}

// settingRows are the settings as the page shows them (logs.md 5.1).
func settingRows(s capture.Settings) []setting {
	duration := "Run Capture Indefinitely"
	switch {
	case s.Duration > 0:
		duration = "Run Capture Until Time Elapsed Reaches " + capture.FormatDuration(s.Duration)
	case !s.KeepNewest:
		duration = "Run Capture Until File Size Limit Reached"
	}
	filter := "No Filters"
	if s.Filter.Expr() != "" {
		filter = s.FilterText()
	}
	return []setting{
		{"Capture File Size Limit", s.SizeText()},
		{"Capture Duration", duration},
		{"Interfaces Selected", s.InterfacesText()},
		{"Filters Selected", filter},
	}
}

func (s *site) startCapture(v *visit) error {
	owner := capture.Owner{Side: capture.GUI}
	if _, err := s.appliance.Captures.Start(v.Context(), owner); err != nil {
		return v.redirectRefused(capturePage.Path, err)
	}
	return v.redirect(capturePage.Path, "Success - Packet Capture has started.")
}

func (s *site) stopCapture(v *visit) error {
	st, err := s.appliance.Captures.Stop(capture.GUI)
	switch {
	case err != nil:
		return v.redirectRefused(capturePage.Path, err)
	case st.Reason != capture.ByUser: // it ended at that moment; the page says why
		return v.redirect(capturePage.Path, "")
	}
	return v.redirect(capturePage.Path, "Success - Packet Capture has stopped.")
}

// storedCapture opens a file of the page's list. Any other name is not found, whatever
// is in it.
func (s *site) storedCapture(name string) (*files.File, fs.FileInfo, error) {
	list, err := s.appliance.Captures.Files(capture.GUI)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(list, func(f fs.FileInfo) bool { return f.Name() == name }) {
		return nil, nil, errNoCapture
	}
	f, err := s.appliance.Files.OpenFile(path.Join(files.Diagnostic, name), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errNoCapture
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

var errNoCapture = refuse(http.StatusNotFound, "There is no such packet capture file. It may have been deleted.")

// downloadCapture sends a file (B16). One that grows ends where it does now.
func (s *site) downloadCapture(v *visit) error {
	f, info, err := s.storedCapture(v.PathValue("name"))
	if err != nil {
		return err
	}
	defer f.Close()
	h := v.w.Header()
	h.Set("Content-Type", "application/vnd.tcpdump.pcap")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": info.Name()}))
	http.ServeContent(v.w, v.Request, "", info.ModTime(), io.NewSectionReader(f, 0, info.Size()))
	return nil
}

// chooseFiles is what the buttons below the list do with the files that are ticked (B16,
// B17).
func (s *site) handleSelection(v *visit) error {
	names := v.PostForm["file"]
	switch v.PostForm.Get("action") {
	case "download":
		if len(names) != 1 {
			return v.redirectRefused(capturePage.Path, refuse(http.StatusBadRequest, "Choose one file to download."))
		}
		f, info, err := s.storedCapture(names[0])
		if err != nil {
			return v.redirectRefused(capturePage.Path, err)
		}
		f.Close()
		return v.redirect(capturePage.Path+"/files/"+url.PathEscape(info.Name()), "")
	case "delete":
		if len(names) == 0 {
			return v.redirectRefused(capturePage.Path, refuse(http.StatusBadRequest, "Choose the files to delete."))
		}
		query := url.Values{"file": names}.Encode()
		if len(query) > maxNames {
			return v.redirectRefused(capturePage.Path, refuse(http.StatusBadRequest, "These are too many files for one time. Choose fewer."))
		}
		return v.redirect(capturePage.Path+"/delete?"+query, "")
	}
	return refuse(http.StatusBadRequest, "The form cannot be read.")
}

// maxNames bounds the names of files in an address: a request's header has to hold it.
const maxNames = maxHeader / 2

// chosen are the files of the page's list that a request names; a refusal where none of
// them can be deleted, or one still grows.
func (s *site) selectedFiles(v *visit) ([]captureFile, error) {
	list, err := s.appliance.Captures.Files(capture.GUI)
	if err != nil {
		return nil, err
	}
	var chosen []captureFile
	for _, f := range list {
		switch {
		case !slices.Contains(v.Form["file"], f.Name()):
		case s.appliance.Captures.IsBeingWritten(f.Name()):
			return nil, refuse(http.StatusConflict, "%s belongs to the capture in progress. Stop the capture first.", f.Name())
		default:
			chosen = append(chosen, captureFile{Name: f.Name(), Size: formatSize(f.Size()), Time: s.formatTime(f.ModTime())})
		}
	}
	if chosen == nil {
		return nil, errNoCapture
	}
	return chosen, nil
}

// askDelete is the question whether to delete files.
func (s *site) confirmDelete(v *visit) error {
	list, err := s.selectedFiles(v)
	if err != nil {
		return v.redirectRefused(capturePage.Path, err)
	}
	v.title = "Delete Packet Capture Files"
	return s.show(v, "delete.html", list)
}

// deleteFiles deletes what was asked about.
func (s *site) deleteFiles(v *visit) error {
	list, err := s.selectedFiles(v)
	if err != nil {
		return v.redirectRefused(capturePage.Path, err)
	}
	gone := 0
	for _, f := range list {
		err := s.appliance.Files.Remove(path.Join(files.Diagnostic, f.Name))
		if errors.Is(err, fs.ErrNotExist) { // somebody else was faster
			continue
		}
		if err != nil {
			return fmt.Errorf("delete captures: %w", err)
		}
		gone++
	}
	s.indexes.forget()
	return v.redirect(capturePage.Path, "Success - %s deleted.", count(gone, "packet capture file has been", "packet capture files have been"))
}

// count is "1 file" or "2 files".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return formatNumber(int64(n)) + " " + many
}

// size is a number of bytes as people read it.
func formatSize(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f K", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f M", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f G", float64(n)/(1<<30))
}

// grouped writes a number with a comma before every three digits.
func formatNumber(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
