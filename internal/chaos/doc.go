// Package chaos is the fault harness: it starts the real server as a child process,
// pushes to it as WeChat does, breaks something, and then compares what
// three parties have written down. The command wxchaos runs it; nothing of it is in the
// program that is shipped.
//
// # The parties
//
// The bot under test is wxchaos itself, started as `wxchaos bot`: package server with a
// configuration file, a database, and real listeners, as `echostr serve` has them. Its
// handler does what the message says (see [Instruction]), and writes into the
// witness file that it was started and that it has ended. That file is not the
// server's: it is opened for appending, each record is one write, and it lies on
// another file system than the database wherever a scenario breaks the latter.
//
// WeChat is package simulator over real sockets, each push from an address of
// its own within 127.0.0.0/8. Messages arrive at a fixed rate, whatever the
// server does with them (open loop). Four accounts cover plain and safe mode, with and without the
// customer-service API; eight sets of rules cover three and four pushes, a retry at once
// and after five seconds, the same and a fresh signature. It has a connection
// refused, as WeChat would, while the process is down.
//
// The database is read afterwards, by package sqlite's reader and by
// PRAGMA integrity_check through database/sql.
//
// # The checker
//
// [Check] compares them. What must hold has a name:
//
//	I1   what was answered with 200 is in the store, in a recorded end state, with the reply that was given
//	I2   what was accepted, answered or not, comes to a recorded end state
//	I3   one start; a further one only after the death of the process that ran the one before,
//	     with the next attempt's number, and never after a result was stored
//	I4   all answers of a message are equal
//	I5   one delivery, outside of the ambiguous ones
//	I6   the answer goes to who asked, and answers what was asked
//	I7   an answered push was answered within 4.6 s; checked where a scenario does not take the time away
//	I8   the status is 200 and the body a valid reply, success, or empty
//	I9   a push that is not WeChat's comes to no row, no start and no 200
//	I10  calls of WeChat's API stay within their budget and within 48 hours
//	I11  integrity_check says ok; one row for each message, and none that nobody sent
//	I12  goroutines, descriptors and memory come back to where they were
//
// A message without any 200 is no violation: WeChat gave it up while the server
// was down, and it is counted as unaccepted.
//
// # The scenarios
//
// kill: SIGKILL at random moments, 50 to 1,500 ms after the process is ready, now and then
// while it starts, and now and then after six seconds, so that answers come that are
// too late for a push. The next process is started at once. Finds lost and
// repeated messages at all points between accept and answer. It cannot see a missing
// flush: what a dead process has written is in the kernel, and safe there.
//
// powercut: the database lies on an ext4 file system in a loop file. Under load the process is
// stopped (SIGSTOP) and the file system shut down without flushing its
// journal (ioctl EXT4_IOC_SHUTDOWN); then kill, unmount, mount, next process. What
// was not flushed is gone. With -control the bot has synchronous=NORMAL, and
// must lose something, or the harness is blind. It cannot see a device that
// acknowledges flushes it has not done, nor torn sectors.
//
// diskfull: the database lies on a small tmpfs, which another file fills under load and
// then leaves. tmpfs keeps no delayed allocations, so an error that comes with the
// flush only is not seen.
//
// slowdisk: every fsync and fdatasync takes 2 s (or 6 s) longer, by strace. Groups of
// commits must share them. Reads and writes are as fast as ever.
//
// failsync: the k-th fsync or fdatasync of a thread answers EIO, by strace, for k = 1, 2, ...
// The process must end with 70 and acknowledge nothing any more. The kernel
// has written the data all the same, so only the behaviour is tested and not the loss. That
// of a folder may fail: SQLite does not look at the answer.
//
// restart: SIGTERM under load; the listening socket is inherited by the next process,
// which is started while the last one drains and waits for the lock of the database.
// No connection may be refused, nothing unaccepted, nothing started twice.
//
// What a machine lacks (root, loop devices, mkfs.ext4, strace) is named and skipped,
// unless the environment variable ECHOSTR_TEST_REQUIRE names it in its list.
// LD_PRELOAD is used nowhere: a Go program makes its system calls itself.
package chaos
