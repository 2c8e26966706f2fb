// Package shelltest plays written conversations with a command line, and runs dialogues without a
// terminal.
//
// # Terms
//
//   - Conversation: a text that shows what a user sees on the screen, with marks around what the
//     user types.
//   - Mark: the part of a conversation that the user types, in «» or ‹›.
//   - Placeholder: stands for a measured value in a conversation.
//   - Player: plays conversations over a session.
//
// # Conversations
//
//	example.com> «passphrase»
//
//	Old passphrase: ‹ironport›
//	New passphrase: «^C»
//	example.com> «exit»
//
// «text» is typed and echoed, ‹text› is typed and not echoed; Enter follows both. «^C», «^D» and
// «^]» are keys without Enter. A text may end with the name of a key, which replaces Enter:
// «<space>» answers the pager, «set<tab>» asks for completion.
//
// A placeholder matches its form and nothing else:
//
//	⟨number⟩   digits
//	⟨count⟩    digits at the right of their column, with the blanks before them
//	⟨ms⟩       a time in milliseconds: 2.095
//	⟨time⟩     a time of day: 08:50:03
//	⟨date⟩     a date and time: Thu Jun 25 08:50:03 2015
//	⟨stamp⟩    a date and time in the form of file names: 20150625-085003
//	⟨port⟩     a port from 1024 to 65535
//	⟨hex⟩      hexadecimal digits
//
// A conversation ends with the end of the session, for which Play waits, or with «…». That mark
// types nothing: the session continues, and another conversation can follow.
//
// # Lock step
//
// Play types nothing before it has received, byte for byte, the text that precedes the mark, and it
// stops at the first byte that differs. It need not recognize prompts, because the conversation
// says when the appliance waits for input. Therefore it detects extra text, a missing question, and
// an answer that another question has taken, where they occur.
//
// Play ignores carriage returns. It replaces the bytes with which the pager erases its marker by a
// line end.
package shelltest
