package web

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/refusal"
)

// captureRoutes registers Help and Support > Packet Capture.
func (s *site) captureRoutes(mux *http.ServeMux) {
	s.route(mux, capturePage, "GET", "", s.showCaptures)
	s.route(mux, capturePage, "POST", "/start", s.startCapture)
	s.route(mux, capturePage, "POST", "/stop", s.stopCapture)
	s.route(mux, capturePage, "POST", "/files", s.handleSelection)
	s.route(mux, capturePage, "GET", "/files/{name}", s.downloadCapture)
	s.route(mux, capturePage, "GET", "/zip", s.downloadZip)
	s.route(mux, capturePage, "POST", openPath, s.openOwn)
	s.route(mux, capturePage, "GET", "/view/{name}/conversations", s.viewConversations)
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
	s.route(mux, capturePage, "GET", "/view/{name}/stream/{number}/raw", s.downloadStream)
	s.background(mux, capturePage, "/view/{name}/live",
		followed(s, "packets.html", "capture", s.packetList))
	s.background(mux, capturePage, "/view/{name}/packet/{number}/live",
		followed(s, "packet.html", "place", s.packetView))
	s.background(mux, capturePage, "/view/{name}/stream/{number}/live",
		followed(s, "stream.html", "talk", s.streamView))
}

// A captureView is the data of the page (B14, B15).
type captureView struct {
	Now captureState
	captureFiles
	Warning string // B31
}

// captureFiles are the stored files (B14).
type captureFiles struct {
	Files    []captureFile
	Revision string // differs if the list differs
}

// A captureState is the state of the capture in progress, for the page and for its script,
// which polls it.
type captureState struct {
	State    string `json:"state"` // running, idle, or elsewhere
	Duration string `json:"duration"`
	File     string `json:"file"`
	Size     string `json:"size"`
	Packets  string `json:"packets"`
	Dropped  string `json:"dropped"`
	Progress int    `json:"progress"` // percent of the size limit
	// Last says why the last capture ended. It is "" if a user stopped it.
	Last      string    `json:"last"`
	Failed    bool      `json:"failed"`    // that reason is not a limit of the settings
	Elsewhere string    `json:"elsewhere"` // says where the capture of another side must be stopped
	Disk      string    `json:"disk"`      // space in use
	Settings  []setting `json:"settings"`
	Revision  string    `json:"revision"` // of the list of files
}

// States of a captureState.
const (
	captureRunning   = "running"
	captureIdle      = "idle"
	captureElsewhere = "elsewhere" // another side has a capture in progress (B22)
)

// A setting is a line of a summary of settings.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type captureFile struct {
	Name, Size, Time string
	Bytes            int64
	Growing          bool
}

// captureState returns the present state, and the files as the page lists them.
func (s *site) captureState() (captureState, captureFiles, error) {
	st := s.appliance.Captures.Status(capture.GUI)
	now := captureState{
		State: captureIdle, Duration: capture.FormatDuration(st.Elapsed.Truncate(time.Second)),
		File: st.File,
		Size: formatSize(st.Size), Packets: formatNumber(int64(st.Packets)),
		Dropped:   formatNumber(int64(st.Dropped)),
		Elsewhere: s.captureElsewhere(),
	}
	settings := s.appliance.Captures.Settings()
	switch {
	case st.Running:
		now.State, settings = captureRunning, st.Settings
	case now.Elsewhere != "":
		now.State = captureElsewhere
	}
	now.Settings = settingRows(settings)
	if limit := int64(st.Settings.SizeMB) << 20; limit > 0 {
		now.Progress = int(min(100, st.Size*100/limit))
	}
	if !st.Running && st.Reason != capture.NotEnded && st.Reason != capture.ByUser {
		now.Last = fmt.Sprintf("The last capture ended: %v.", st.Reason)
		now.Failed = st.Reason != capture.DurationReached && st.Reason != capture.SizeReached
	}
	used, quota := s.appliance.Files.Usage()
	if now.Disk = formatSize(used); quota > 0 {
		now.Disk += " of " + formatSize(quota)
	}
	list, err := s.captureFiles()
	now.Revision = list.Revision
	return now, list, err
}

// captureElsewhere returns the sentence that refuses a capture while another side has one in
// progress, or "" if none has.
func (s *site) captureElsewhere() string {
	for _, side := range []capture.Side{capture.CLI, capture.TCPDump} {
		if s.appliance.Captures.Status(side).Running {
			text, _ := refusal.Text(&capture.InProgressError{Running: side, Requested: capture.GUI})
			return text
		}
	}
	return ""
}

// captureStatus answers the page's script, which polls the state: captures, files and settings
// may change in other sessions.
func (s *site) captureStatus(v *visit) error {
	now, _, err := s.captureState()
	if err != nil {
		return err
	}
	return answerJSON(v.w, now)
}

// captureList answers the page's script with the list of files. The script asks for it when the
// revision has changed.
func (s *site) captureList(v *visit) error {
	list, err := s.captureFiles()
	if err != nil {
		return err
	}
	return answerPart(v.w, "captures.html", "files", list)
}

func (s *site) showCaptures(v *visit) error {
	now, list, err := s.captureState()
	if err != nil {
		return err
	}
	return s.show(v, "captures.html", captureView{now, list, capture.Warning})
}

// captureFiles returns the files that the page lists, the newest first. Their revision does not
// depend on what changes all the time while a file grows.
func (s *site) captureFiles() (captureFiles, error) {
	var view captureFiles
	list, err := s.appliance.Captures.Files(capture.GUI)
	if err != nil {
		return view, err
	}
	for _, f := range list {
		view.Files = append(view.Files, captureFile{
			Name: f.Name(), Size: formatSize(f.Size()), Time: s.formatTime(f.ModTime()),
			Bytes:   f.Size(),
			Growing: s.appliance.Captures.IsBeingWritten(f.Name()),
		})
	}
	slices.SortStableFunc(view.Files, func(a, b captureFile) int {
		return strings.Compare(b.Name, a.Name)
	})
	h := fnv.New64a()
	for _, f := range view.Files {
		if f.Growing {
			f.Bytes, f.Time = 0, ""
		}
		fmt.Fprintf(h, "%q %d %s %t\n", f.Name, f.Bytes, f.Time, f.Growing) // a hash does not fail
	}
	view.Revision = strconv.FormatUint(h.Sum64(), 16)
	return view, nil
}

// settingRows formats settings as the page shows them (logs.md 5.1).
func settingRows(s capture.Settings) []setting {
	var list []setting
	for _, row := range s.Rows() {
		list = append(list, setting{row[0], row[1]})
	}
	return list
}

func (s *site) startCapture(v *visit) error {
	owner := capture.Owner{Side: capture.GUI}
	st, err := s.appliance.Captures.Start(v.Context(), owner)
	if err != nil {
		var other *capture.InProgressError
		if errors.As(err, &other) {
			text, _ := refusal.Text(err)
			v.session.leaveNotice(capturePage.Path,
				notice{Text: text, Bad: true, stillTrue: func() bool {
					return s.appliance.Captures.Status(other.Running).Running
				}})
			return v.redirect(capturePage.Path, "")
		}
		return v.redirectRefused(capturePage.Path, err)
	}
	v.session.leaveNotice(capturePage.Path, notice{Text: "Success - Packet Capture has started.",
		stillTrue: func() bool {
			now := s.appliance.Captures.Status(capture.GUI)
			return now.Running && now.Started.Equal(st.Started)
		}})
	return v.redirect(capturePage.Path, "")
}

func (s *site) stopCapture(v *visit) error {
	st, err := s.appliance.Captures.Stop(capture.GUI)
	switch {
	case err != nil:
		return v.redirectRefused(capturePage.Path, err)
	case st.Reason != capture.ByUser: // it has ended at this moment; the page says why
		return v.redirect(capturePage.Path, "")
	}
	v.session.leaveNotice(capturePage.Path, notice{Text: "Success - Packet Capture has stopped.",
		stillTrue: func() bool {
			return !s.appliance.Captures.Status(capture.GUI).Running
		}})
	return v.redirect(capturePage.Path, "")
}

// storedCapture opens a file of the page's list. Other names are not found, even if a file has
// them.
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

var errNoCapture = refuse(http.StatusNotFound,
	"There is no such packet capture file. It may have been deleted.")

// downloadCapture sends a file (B16). Of a growing file it sends the part that exists now.
func (s *site) downloadCapture(v *visit) error {
	f, info, err := s.storedCapture(v.PathValue("name"))
	if err != nil {
		return err
	}
	defer f.Close()
	h := v.w.Header()
	h.Set("Content-Type", "application/vnd.tcpdump.pcap")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": info.Name()}))
	http.ServeContent(s.permittedWriter(v), v.Request, "", info.ModTime(),
		io.NewSectionReader(f, 0, info.Size()))
	return nil
}

// handleSelection handles the buttons below the list, which work on the ticked files (B16, B17).
func (s *site) handleSelection(v *visit) error {
	names := v.PostForm["file"]
	switch v.PostForm.Get("action") {
	case "download":
		if len(names) == 0 {
			return v.redirectRefused(capturePage.Path,
				refuse(http.StatusBadRequest, "Choose the files to download."))
		}
		if to := zipPath(names); len(names) > 1 && len(to) <= maxNames {
			return v.redirect(to, "")
		} else if len(names) > 1 {
			return v.redirectRefused(capturePage.Path,
				refuse(http.StatusBadRequest, "These are too many files to download at once. "+
					"Choose fewer."))
		}
		f, info, err := s.storedCapture(names[0])
		if err != nil {
			return v.redirectRefused(capturePage.Path, err)
		}
		f.Close()
		return v.redirect(capturePage.Path+"/files/"+url.PathEscape(info.Name()), "")
	case "delete":
		if len(names) == 0 {
			return v.redirectRefused(capturePage.Path,
				refuse(http.StatusBadRequest, "Choose the files to delete."))
		}
		query := url.Values{"file": names}.Encode()
		if len(query) > maxNames {
			return v.redirectRefused(capturePage.Path,
				refuse(http.StatusBadRequest, "These are too many files to delete at once. "+
					"Choose fewer."))
		}
		return v.redirect(capturePage.Path+"/delete?"+query, "")
	}
	return refuse(http.StatusBadRequest, "The form cannot be read.")
}

// maxNames bounds the length of file names in an address, which is part of a request's header.
const maxNames = maxHeader / 2

// selectedFiles returns the files of the page's list that a request names. The error is a refusal
// if there are none, or if one belongs to the capture in progress.
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
			return nil, refuse(http.StatusConflict,
				"%s belongs to the capture in progress. Stop the capture first.", f.Name())
		default:
			chosen = append(chosen, captureFile{Name: f.Name(), Size: formatSize(f.Size()),
				Time: s.formatTime(f.ModTime())})
		}
	}
	if chosen == nil {
		return nil, errNoCapture
	}
	return chosen, nil
}

// confirmDelete shows the question whether to delete files.
func (s *site) confirmDelete(v *visit) error {
	list, err := s.selectedFiles(v)
	if err != nil {
		return v.redirectRefused(capturePage.Path, err)
	}
	v.title = "Delete Packet Capture Files"
	return s.show(v, "delete.html", list)
}

// deleteFiles deletes the files that the user has confirmed.
func (s *site) deleteFiles(v *visit) error {
	list, err := s.selectedFiles(v)
	if err != nil {
		return v.redirectRefused(capturePage.Path, err)
	}
	deleted := 0
	for _, f := range list {
		err := s.appliance.Files.Remove(path.Join(files.Diagnostic, f.Name))
		if errors.Is(err, fs.ErrNotExist) { // another session has deleted it
			continue
		}
		if err != nil {
			return fmt.Errorf("delete captures: %w", err)
		}
		deleted++
	}
	s.indexes.forget()
	return v.redirect(capturePage.Path, "Success - %s deleted.",
		count(deleted, "packet capture file has been", "packet capture files have been"))
}

// count formats a number of things, as in "1 file" or "2 files".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return formatNumber(int64(n)) + " " + many
}

// formatSize formats a number of bytes.
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

// formatNumber formats a number with a comma before every three digits.
func formatNumber(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
