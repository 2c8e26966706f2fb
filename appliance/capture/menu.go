package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/esasim/esasim/appliance/files"
)

// MenuSettings are those of the menu tcpdump (B25). What is started there has neither
// a limit of size nor of time, as the program tcpdump has none (B31).
type MenuSettings struct {
	Interface string `json:"interface"`        // such as "Data 1"; "" until one can be chosen
	Filter    string `json:"filter,omitempty"` // in the language of tcpdump (B27); "" lets everything pass
}

// menuPrefix tells the menu's files from the others.
const menuPrefix = "tcpdump-"

// factoryMenu is what the menu begins with on an appliance that has s for factory
// settings.
func factoryMenuSettings(s Settings) MenuSettings {
	if len(s.Interfaces) == 0 {
		return MenuSettings{}
	}
	return MenuSettings{Interface: s.Interfaces[0]}
}

// settings are m as a capture has them.
func (m MenuSettings) captureSettings() Settings {
	s := Settings{Filter: Filter{Kind: Custom, Expression: m.Filter}}
	if m.Interface != "" {
		s.Interfaces = []string{m.Interface}
	}
	return s
}

// MenuSettings are those that the next capture of the menu will have. An appliance
// that has never been told uses its first interface.
func (r *Recorder) MenuSettings() MenuSettings {
	r.mu.Lock()
	m := r.menu
	r.mu.Unlock()
	if names := r.Interfaces(); m.Interface == "" && len(names) > 0 {
		m.Interface = names[0]
	}
	return m
}

// SetMenuSettings replaces the menu's settings, without a commit. A capture that runs
// keeps those with which it began. Errors are as those of SetSettings.
func (r *Recorder) SetMenuSettings(m MenuSettings) error {
	m.Filter = strings.TrimSpace(oneLine(m.Filter))
	if _, err := r.sources(m.captureSettings()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.menu
	r.menu = m
	if err := r.save(r.runningName()); err != nil {
		r.menu = old
		return err
	}
	return nil
}

// settingsOf are what a capture of that side begins with.
func (r *Recorder) settingsOf(side Side) Settings {
	if side == TCPDump {
		return r.MenuSettings().captureSettings()
	}
	return r.Settings()
}

// Leave ends the capture that owner, a session in the menu, started there, because the
// session leaves the menu (B26). It returns the capture's last status once its files are
// closed, and ErrNotRunning where owner has none running.
func (r *Recorder) LeaveMenu(owner Owner) (Status, error) {
	c := r.runningOf(TCPDump)
	if c == nil || c.owner != owner {
		return Status{}, ErrNotRunning
	}
	c.end(MenuLeft, nil)
	<-c.done
	return c.last, nil
}

// MenuFiles lists the menu's stored captures, sorted by name, without that which runs.
func (r *Recorder) MenuFiles() ([]fs.FileInfo, error) {
	r.mu.Lock()
	running := r.runningName()
	r.mu.Unlock()
	all, err := r.Files(TCPDump)
	if err != nil {
		return nil, err
	}
	var list []fs.FileInfo
	for _, f := range all {
		if strings.HasPrefix(f.Name(), menuPrefix) && (running == "" || !isFileOf(f.Name(), running)) {
			list = append(list, f)
		}
	}
	return list, nil
}

// Clear removes the files that MenuFiles lists, and returns those that it removed. Whoever
// has one of them open can read it to its end.
func (r *Recorder) RemoveMenuFiles() ([]fs.FileInfo, error) {
	list, err := r.MenuFiles()
	if err != nil {
		return nil, err
	}
	var gone []fs.FileInfo
	for _, f := range list {
		err := r.options.Files.Remove(path.Join(files.Diagnostic, f.Name()))
		if errors.Is(err, fs.ErrNotExist) { // somebody else was faster
			continue
		}
		if err != nil {
			return gone, fmt.Errorf("remove captures: %w", err)
		}
		gone = append(gone, f)
	}
	return gone, nil
}
