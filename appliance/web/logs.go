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
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
)

// logRoutes registers System Administration > Log Subscriptions.
func (s *site) logRoutes(mux *http.ServeMux) {
	s.route(mux, logsPage, "GET", "", s.showLogs)
	s.route(mux, logsPage, "POST", "/rollover",
		s.restrict(rolloverCommand, "rolling over logs", s.rollOverLogs))
	s.route(mux, logsPage, "GET", "/files/{name}", s.showLogFiles)
	s.route(mux, logsPage, "GET", "/files/{name}/{file}", s.downloadLog)
	for _, r := range []struct {
		method, below string
		h             func(*visit) error
	}{
		{"GET", "/add", s.showNewLog}, {"POST", "/add", s.addLog},
		{"GET", "/edit/{name}", s.showEditLog}, {"POST", "/edit/{name}", s.editLog},
		{"GET", "/delete/{name}", s.confirmDeleteLog}, {"POST", "/delete/{name}", s.deleteLog},
	} {
		s.route(mux, logsPage, r.method, r.below,
			s.restrict(logsCommand, "changing log subscriptions", r.h))
	}
}

// A logList is the data of the page.
type logList struct {
	List []logRow
	// MayEdit and MayRollOver report what the account's role permits.
	MayEdit, MayRollOver bool
}

type logRow struct {
	logs.Subscription
	Title, How, Rollover, Limit string
	Running                     bool // the subscription is committed
	Path                        string
}

func (s *site) showLogs(v *visit) error {
	list := logList{MayEdit: s.mayRun(v.role(), logsCommand),
		MayRollOver: s.mayRun(v.role(), rolloverCommand)}
	running := logs.Section.Get(s.appliance.Config.Committed())
	for _, l := range logs.Section.Get(v.session.draft).List {
		how := methodTitle(l.Method)
		switch {
		case l.Method == logs.Syslog:
			how += " to " + l.Push.Host
		case l.Method.Uploads():
			how += " to " + l.Remote.Host
		}
		list.List = append(list.List, logRow{
			Subscription: l, Title: l.Type.Spec().Title, How: how, Rollover: rolloverText(l),
			Limit: fmt.Sprintf("%s, %s", formatSize(l.MaxSize),
				count(l.MaxFiles, "file", "files")),
			Running: running.Find(l.Name) != nil, Path: url.PathEscape(l.Name),
		})
	}
	return s.show(v, "logs.html", list)
}

func methodTitle(m logs.Method) string {
	switch m {
	case logs.FTPPush:
		return "FTP Push"
	case logs.SCPPush:
		return "SCP Push"
	case logs.Syslog:
		return "Syslog Push"
	}
	return "Manual Download"
}

func rolloverText(l logs.Subscription) string {
	switch l.Schedule {
	case logs.Interval:
		return "Every " + capture.FormatDuration(time.Duration(l.IntervalSeconds)*time.Second)
	case logs.Daily:
		return "Daily, " + l.TimeOfDay
	case logs.Weekly:
		return string(l.Day) + ", " + l.TimeOfDay
	}
	return "None"
}

// rollOverLogs handles the button Rollover Now.
func (s *site) rollOverLogs(v *visit) error {
	names := v.PostForm["log"]
	if len(names) == 0 {
		return v.redirectRefused(logsPage.Path,
			refuse(http.StatusBadRequest, "Choose the logs to roll over."))
	}
	if err := s.appliance.Logs.RollOver(v.Context(), names...); errors.Is(err,
		logs.ErrNoSubscription) {
		return v.redirectRefused(logsPage.Path,
			refuse(http.StatusNotFound, "A log that you chose does not exist yet, or no more. It "+
				"can be rolled over once it is committed."))
	} else if err != nil {
		return err
	}
	return v.redirect(logsPage.Path, "Success - %s rolled over.",
		count(len(names), "log has been", "logs have been"))
}

// A logFileList is the data of the page with the files of a subscription.
type logFileList struct {
	Name, Path string
	Files      []captureFile
}

// logFiles returns the name and the files of the committed subscription that a request names.
func (s *site) logFiles(v *visit) (name string, list []fs.FileInfo, err error) {
	name = v.PathValue("name")
	running := logs.Section.Get(s.appliance.Config.Committed())
	if running.Find(name) == nil {
		return "", nil, errNoLog
	}
	if err := s.appliance.Logs.Flush(v.Context(), name); err != nil &&
		!errors.Is(err, logs.ErrNoSubscription) {
		return "", nil, err
	}
	entries, err := s.appliance.Files.ReadDir(path.Join(files.Pub, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() {
			list = append(list, info)
		}
	}
	return name, list, nil
}

var errNoLog = refuse(http.StatusNotFound, "There is no such log subscription.")

func (s *site) showLogFiles(v *visit) error {
	name, list, err := s.logFiles(v)
	if err != nil {
		return err
	}
	view := logFileList{Name: name, Path: logsPage.Path + "/files/" + url.PathEscape(name)}
	for _, f := range list {
		view.Files = append(view.Files, captureFile{Name: f.Name(), Size: formatSize(f.Size()),
			Time: s.formatTime(f.ModTime()), Bytes: f.Size(), Growing: strings.HasSuffix(f.Name(),
				".c")})
	}
	slices.Reverse(view.Files) // the newest first
	v.title = "Files of " + name
	return s.show(v, "logfiles.html", view)
}

func (s *site) downloadLog(v *visit) error {
	name, list, err := s.logFiles(v)
	if err != nil {
		return err
	}
	file := v.PathValue("file")
	if !slices.ContainsFunc(list, func(f fs.FileInfo) bool { return f.Name() == file }) {
		return refuse(http.StatusNotFound,
			"There is no such log file. It may have been rolled over.")
	}
	f, err := s.appliance.Files.OpenFile(path.Join(files.Pub, name, file), 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": file}))
	http.ServeContent(s.permittedWriter(v), v.Request, "", info.ModTime(),
		io.NewSectionReader(f, 0, info.Size()))
	return nil
}

// confirmDeleteLog shows the question whether to delete a subscription.
func (s *site) confirmDeleteLog(v *visit) error {
	name := v.PathValue("name")
	list := logs.Section.Get(v.session.draft)
	if list.Find(name) == nil {
		return errNoLog
	}
	v.title = "Delete " + name
	return s.show(v, "confirm.html", question{
		Text: fmt.Sprintf("Are you sure you want to delete the log subscription %q?", name),
		Hint: "Its files stay. The change takes effect when it is committed.", Button: "Delete",
		Action: logsPage.Path + "/delete/" + url.PathEscape(name), Back: logsPage.Path,
	})
}

func (s *site) deleteLog(v *visit) error {
	name := v.PathValue("name")
	list := logs.Section.Get(v.session.draft)
	if list.Find(name) == nil {
		return errNoLog
	}
	err := logs.Section.Edit(v.session.draft, func(l *logs.Subscriptions) error {
		l.List = slices.DeleteFunc(l.List, func(o logs.Subscription) bool { return o.Name == name })
		return nil
	})
	if err != nil {
		return editRefusal(err)
	}
	return v.redirectPending(logsPage.Path,
		"The log subscription %s will be deleted when the change is committed.", name)
}

// parseNumber parses a number of a form. The result is -1, which no setting can be, if s is not
// a number.
func parseNumber(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
