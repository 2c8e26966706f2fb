// Package clock is the appliance's only source of time.
//
// Two times are kept apart. Wall time (Now) is what the appliance believes the
// date to be: it stamps captured packets and log lines, and settime moves it.
// Monotonic time (Since, Sleep, AfterFunc) measures how long something took and
// when to do something next; no settime disturbs it.
//
// System is the machine's clock. Offset wraps another clock and shifts its wall
// time: settime and ntpconfig set it. Fake moves only when it is told to, or when
// somebody sleeps on it: a ping's second between two packets costs nothing in a
// test, and a log that rolls over at midnight does so in a microsecond.
//
// A Group is the timers of one owner, which waits for them when it ends.
//
// No other package may call time.Now, time.Sleep, time.After or make a timer,
// but for network frames, whose delays always run on the machine's clock: they
// do that through System.
package clock
