package box

import (
	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/transfer"
)

// A TransferDone is the event that a user has fetched a file or stored one. Its cause is the login.
type TransferDone struct {
	Protocol string // "SFTP", "SCP" or "FTP"
	User     string
	Upload   bool
	Path     string // in the file area
	Size     int64  // bytes
	// SHA256 is the hash of the bytes, in hexadecimal digits: of the first Size bytes that the file
	// has after the transfer. It is "" if the file is gone or shorter. It is computed when somebody
	// reads the event, and otherwise before the file changes.
	SHA256 files.Digest
}

// Kind implements events.Fields.
func (TransferDone) Kind() string { return "transfer.done" }

// publishTransfers returns a function that publishes transfers of a login.
func publishTransfers(
	a *appliance.Appliance, area *files.Area, protocol string, account users.Account, l *users.Login,
) func(transfer.Transferred) {
	return func(t transfer.Transferred) {
		if !a.Events.Hears("transfer.done") { // a digest is remembered
			return
		}
		events.Publish(a.Events, l.Event(), TransferDone{
			protocol, account.Name, t.Upload, t.Path, t.Size, area.Digest(t.Path, t.Size),
		})
	}
}
