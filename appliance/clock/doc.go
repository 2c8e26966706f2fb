// Package clock is the appliance's only source of time.
//
// # Terms
//
//   - Wall time: what the appliance believes the date and time of day to be (Clock.Now). It
//     stamps log lines and captured packets. The command settime moves it.
//   - Monotonic time: measures durations (Clock.Since, Sleep, AfterFunc). Setting the wall time
//     does not affect it.
//   - Mark: a point of monotonic time. Since returns the time that has passed since a mark.
//   - System: the machine's clock.
//   - Offset: a clock whose wall time is that of another clock plus a difference, its shift. An
//     appliance has an Offset over System, so that settime and NTP change the appliance's wall
//     time and not the machine's.
//   - Fake: a clock for tests. It moves only if a test advances it or if a caller sleeps on it:
//     Sleep returns immediately and moves the clock. Commands that wait, and a log that rolls
//     over at midnight, take no real time in a test.
//   - Group: the timers of one owner, which waits for all of them when it stops.
//
// # Rule
//
// No other package calls time.Now, time.Sleep or time.After, or creates a timer. A linter
// enforces this. Everything that concerns network frames runs on the machine's clock even in a
// test, because frames and TCP are processed in real time: that code uses System.
package clock
