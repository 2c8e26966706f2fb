// Package config holds the appliance's configuration: one committed version, the drafts of the
// sessions that are changing it, and its history.
//
// # Terms
//
//   - A section is a typed part of the configuration under one name, such as "dns". It is
//     declared in the package that applies it, and is one element of the XML form.
//   - A draft is the uncommitted configuration of one session.
//   - An applier makes a running part of the appliance agree with a new configuration.
//   - The factory is the configuration of a new appliance: the defaults of the sections, and over
//     them the values that the topology gives.
//   - A revision is one committed version, with a number.
//
// # How it is used
//
// A part declares its settings as a section, next to the code that applies them:
//
//	var Section = config.Define("dns", Settings{TTL: 1800}, check, config.In(config.Network, 40))
//
// and reads them with Section.Get from a *Config or a *Draft. Commands and pages change a section
// in a draft, with Section.Edit. Nothing takes effect before Store.Commit, which checks the whole
// configuration, has the appliers make the appliance agree with it, saves it and publishes it; if
// any of that fails, everything stays as it was. The commands showconfig, saveconfig, loadconfig,
// showchanges, rollbackconfig and resetconfig need no knowledge of any section: they are WriteXML,
// ReadXML, Draft.Changes, Store.Rollback and Store.ResetToFactory.
//
// # Errors
//
// A section's check returns a refusal; any other error of a check is internal, like a panic.
// InvalidError lists the refusals of all checks and carries them as one refusal. The refusals of
// Commit begin with "The changes cannot be committed." so that the command line and the page use
// the same words. Where their advice to the administrator differs, they get data instead of text:
// ConflictError, ErrNoChanges and XMLError.
//
// # Why sections are kept encoded
//
// A Config and a Draft hold each section as XML. So no caller can reach a committed value by
// pointer, two values are equal if their bytes are, and saving, loading and comparing are loops.
// The price is decoding in Get. Values that can be copied are decoded once and then copied; a
// caller that needs a list for every packet keeps the value that Applier.Apply gave it. Defaults
// and the values of a factory, which the program itself made, are encoded only when they are
// compared or written: a start does neither.
//
// encoding/xml ignores elements that it does not know. Therefore each section's type is also
// turned into a schema, against which files are checked before they are decoded: a mistyped
// element is an error with its line. The schema also knows which elements are passphrases.
//
// # Storage
//
// A Config holds only the differences from the factory, so that a setting that was never changed
// follows the topology. On disk each revision is one file, written under a temporary name, synced
// and renamed; the file with the highest number is the committed version, so that the rename is the
// moment of the commit. A file also holds what its commit replaced, for commitdetail, and ends with
// a digest.
//
// # Conflicts
//
// Each session has its own draft, so that a session that is left open does not block the others. A
// draft remembers the committed value that each changed section had when its change began. If
// another session commits the same section first, Commit refuses and names it.
//
// # Locks
//
// They are taken in this order: Store.commit, then any lock of an applier, then Draft.mu or
// Store.history. Reading the committed version takes no lock. No lock is held while Section.Edit
// runs its function, which may hold a conversation.
package config
