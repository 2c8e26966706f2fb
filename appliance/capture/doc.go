// Package capture records packets into the file area (B6 to B22).
//
//	r := capture.New(capture.Options{Net: n, Files: store, Clock: clk, Product: facts, ...})
//	err = r.SetSettings(s)
//	status, err := r.Start(session, capture.Owner{Side: capture.CLI, Session: "..."})
//	status = r.Status(capture.CLI)
//	status, err = r.Stop(capture.CLI)
//	err = r.Close()
//
// # Terms
//
// A side is one of the three places from which captures are started: the command
// packetcapture (CLI), the page (GUI) and the older menu tcpdump (TCPDump). A part is one of
// the files among which a capture that keeps the newest data is divided. A record is a frame
// as a pcap file holds it; a chunk is a number of whole records that are written at once. The
// writer is the one goroutine of a capture that writes its files.
//
// # One capture, three sides
//
// One capture runs in the whole appliance. It belongs to the side that started it. Any
// session of the command line sees and stops the capture of packetcapture; in the menu
// tcpdump the same holds for the menu's capture. A side is not shown the capture of another
// side, nor its files while it runs; it only learns of it when Start is refused.
//
// A capture of packetcapture ends with the SSH channel that started it. A capture of the menu
// ends when the session that started it leaves the menu (LeaveMenu). A capture of the page
// survives the login session, but not a restart.
//
// # The menu's files
//
// File names of the menu's captures have a prefix. RemoveMenuFiles, which removes these
// captures and no others, therefore needs no list that could differ from the files on disk.
//
// # Settings
//
// packetcapture and the page share one set of settings. The menu has a smaller one, an
// interface and a filter, because its captures are limited by the disk only (B31). Settings
// are not part of the configuration: they take effect without a commit and are kept in a file
// of their own. A capture keeps the settings with which it started, so that one filter has
// selected all records of a file.
//
// Command line and page print each setting by the same function (Settings.Rows), so they cannot
// disagree. A capture with a size limit and without a time limit has one of two names:
//
//   - "Run Capture Until File Size Limit Reached" if it stops at its size.
//   - "Run Capture Indefinitely" if it keeps the newest data.
//
// The document about packet captures prints no settings. The public guide
// attests the names of the page's choices. The reference of the command line has an example of
// lesser certainty, a limit of 200 MB with "Run Capture Indefinitely". The command line prints it
// to the byte with settings that keep the newest data (packetcapture.txtar). It does not print it
// for a capture that stops, of which the page would say that it stops.
//
// # Refusals
//
// Errors that an administrator can do something about are refusals: settings that are not
// valid, an interface that does not exist, a second capture, a full disk. All sides show the
// same text. A filter's *pcapfilter.SyntaxError stays within reach of errors.As, because each
// side marks the position of the fault in its own way.
//
// # From the tap to the file
//
// A tap must not block, because the network calls it. So the tap's sink copies each frame
// into a queue, in the form of the record that the file will have, and returns. The writer
// writes the queue's chunks, each with one write and at the latest 50 ms after its first
// record. Because the file area makes a write visible as a whole, a reader
// sees whole records and can open a file at any moment. If kill -9 interrupts a write, the
// next New cuts off the incomplete record.
//
// If the writer is 16 MiB behind, frames are dropped and counted.
//
// # Timestamps
//
// A record's timestamp is the appliance's wall time when its frame was queued, and not the
// network's timestamp, because settime changes the first but not necessarily the second.
// Frames of all interfaces go through one queue, so the file has them in the order of their
// arrival. When the wall time is set back, timestamps continue from the last one.
//
// # Keeping the newest data
//
// A capture that keeps the newest data has up to ten parts, NAME-1.cap to NAME-10.cap, each a
// tenth of the size limit. The oldest part is removed when a new one is begun. At the end the
// parts are joined into NAME.cap: each is appended to the oldest part and then removed, so
// the disk holds at most one part twice. If the disk is full or the process is killed on the
// way, every record is still in a file that can be opened.
//
// # Full disk
//
// A capture ends when there is no space for one more record, and keeps the records that it has
// written. Its status says so until the same side starts another capture, and OnFailure is called.
// New does not need disk space: it repairs files by truncating them.
//
// # Lock order
//
// Recorder.mu is held during file operations at the start of a capture. recording.mu and
// queue.mu are leaves. A writer locks Recorder.mu last, to report the end of its capture,
// so a goroutine that holds Recorder.mu must not wait for a writer.
package capture
