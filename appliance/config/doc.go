// Package config holds the appliance's configuration: one committed version, the
// drafts of those who are changing it, and its history.
//
// A part declares what can be configured of it as a section, next to the code that
// applies it:
//
//	var Section = config.Define("dns", Settings{TTL: 1800}, check, config.In(config.Network, 40))
//
// and reads it with Section.Get from a *Config or a *Draft. Commands and pages
// change a section in a draft, with Section.Edit; nothing takes effect before
// Store.Commit, which checks the whole, has the appliers make the appliance agree,
// saves, and publishes, or else leaves everything as it was. showconfig,
// saveconfig, loadconfig, showchanges, rollbackconfig and resetconfig need no
// knowledge of any section: they are WriteXML, ReadXML, Draft.Changes,
// Store.Rollback and Store.ResetToFactory.
//
// # Why sections are kept encoded
//
// A section at rest is its XML. Nobody can reach a committed value by pointer, two
// values are equal if their bytes are, and saving, loading and comparing are loops.
// The price is a decode for each Get; values without slices and pointers, such as
// the host name, are decoded once. Who reads a list for every packet keeps the
// value that Applier.Apply gave it.
//
// encoding/xml overlooks elements that it does not know. So each section's type is
// also turned into a schema, by which files are judged before they are decoded: a
// mistyped element is an error with its line. The schema also knows which elements
// are passphrases.
//
// # What is kept where
//
// A Config holds only what differs from the factory configuration, which is the
// sections' defaults and, over them, what the topology says: a setting nobody
// touched follows the topology. On disk each version is one file, written beside,
// synced and renamed; the file with the highest number is the committed version, so
// that there is one moment at which a commit happens. A file also says what its
// commit replaced, for commitdetail, and ends with a digest.
//
// # Drafts and conflicts
//
// Each session has its own draft, so that one who walks away leaves nobody waiting.
// A draft remembers what each changed section was when it began to be changed; if
// somebody else commits the same section first, Commit refuses and names it.
//
// # Locks
//
// Store.commit, then what an applier locks, then Draft.mu or Store.history. Reading
// the committed version takes no lock. No lock is held while Section.Edit runs its
// function, which may be a conversation.
package config
