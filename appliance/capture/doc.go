// Package capture records packets into the file area (B6 to B22).
//
//	r, err := capture.New(capture.Options{Net: n, Files: store, Clock: clk, Product: facts, StateFile: ...})
//	err = r.SetSettings(s)
//	status, err := r.Start(session, capture.Owner{Side: capture.CLI, Session: "..."})
//	status = r.Status(capture.CLI)
//	status, err = r.Stop(capture.CLI)
//	err = r.Close()
//
// # One at a time, three sides
//
// One capture runs in the whole appliance. It belongs to the side that started it: the
// command packetcapture, the page, or the older menu tcpdump. Any session of the command
// line sees and stops packetcapture's, and so in the menu the menu's; no side is shown
// another's, nor its files while it runs, but for being refused a second one. A capture
// of packetcapture ends with the SSH channel that started it, one of the menu when the
// session that started it leaves the menu (Leave); one of the page survives logins, not
// a restart.
//
// # The menu's files
//
// What the menu records has a prefix in its name, so that Clear, which removes the menu's
// captures and no others, needs no list that could differ from what is there.
//
// # Settings
//
// There is one set of settings for packetcapture and the page, and a smaller one, an
// interface and a filter, for the menu: its captures have no limit but the disk (B31).
// They are not configuration: they take effect without a commit and are kept in a file
// of their own. A capture keeps the settings with which it began: what is in one file was
// selected by one filter.
//
// # From the tap to the file
//
// A tap must not block: what it is called by is the network. So it copies a frame that
// passes the filter into a queue, as the record that the file will have, and returns;
// one goroutine for each capture writes. Records lie in chunks, each of which is
// one write, 50 ms after its first record at the latest. Because the file area
// makes a write visible as a whole, a reader sees whole records, and a file
// can be opened at any moment. A write that is torn by kill -9 is mended by the next New.
//
// Where the writer is 16 MiB behind, frames are dropped and counted.
//
// # Stamps
//
// A record's stamp is the appliance's wall time when its frame was queued, not the
// network's stamp: settime moves the one and need not move the other. Frames of all
// interfaces go through one queue, so that the file has them in the order of their
// arrival. When the time is set back, stamps go on from where they were.
//
// # The newest data
//
// Where the oldest data is to give way, the capture is kept in ten parts, NAME-1.cap to
// NAME-10.cap, each a tenth of the size; the oldest part is removed when another is
// begun. At the end the parts are joined into NAME.cap by appending them to the oldest,
// and removing each once it is appended: the disk holds one part twice at most, and if
// it is full, or the process killed, every record is in a file that opens.
//
// # The disk is full
//
// A capture that finds no room ends; what it has written stays. Its status says so until
// that side starts another, and OnTrouble is called.
//
// # Lock order
//
// Recorder.mu is held over file operations at the start of a capture; recording.mu and
// queue.mu are leaves. A recording's writer takes Recorder.mu last, to say that it has
// finished, so nobody who holds it may wait for a writer.
package capture
