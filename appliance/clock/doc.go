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
//   - Scaled: a clock that runs N times as fast as another. With it an appliance lives a day in a
//     minute.
//   - Real time: the pace of the clock below a Scaled (RealTime).
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
//
// An appliance whose clock is a Scaled does by that clock whatever it does by itself: it stamps log
// lines and captures, retries deliveries, rolls logs over, writes status lines, asks time servers,
// holds alerts back, and forgets cached answers. Waits whose end depends on somebody else pass in
// real time, or a client would be cut off that is as fast as ever: time-outs of network operations
// (System), and limits on idle clients of SSH, FTP, HTTP and SMTP (RealTime). So do waits that
// protect the disk.
package clock
