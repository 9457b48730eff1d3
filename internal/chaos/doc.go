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
// server does with them (open loop). Five accounts cover plain and safe mode, with and without the
// customer-service API, and the order of the ways that a late answer takes; eight sets of rules cover three and four
// pushes, a retry at once and after five seconds, the same and a fresh signature. It has a connection
// refused, as WeChat would, while the process is down.
//
// WeChat's HTTP API is the harness's own. It outlives the bot, and writes down what it was asked to send, what it
// has taken, and whether it has told so: it is slow, busy or down for a while, takes nothing for some users, and now
// and then takes a message and breaks the connection off.
//
// The users ask questions whose handlers take 0.1 to 20 s, and come back until they have read the answer: they tap on
// the link that they were given, with or without WeChat telling its id, or twice at the same time; they send the word
// that fetches what waits; or they ask something else, whose answer brings the one before ahead. What they have
// read is known, since each answer names its message and its start.
//
// The database is read afterwards, by package sqlite's reader and by
// PRAGMA integrity_check through database/sql.
//
// # The checker
//
// [Check] compares them. What must hold has a name:
//
//	I1   what was answered with 200 is in the store, in a recorded end state, with the reply that was given; its answer
//	     was read by the user, whatever way it took, or is kept for him, or the store says why neither
//	I2   what was accepted, answered or not, comes to the same end
//	I3   one start; a further one only after the death of the process that ran the one before, or when that has lost its
//	     lease on the store and its handler has ended, with the next attempt's number, and never after a result was
//	     stored; the reply that is stored is that of the newest attempt
//	I4   all answers of a message are equal; once a text was given in place of the answer, pushes get that
//	I5   an answer is read once. Once more for each time that nobody could know: the process died within a second of
//	     it, or its time to drain was over, or it could tell the store nothing, or the API did not tell that it had taken it; and for each time that the
//	     user asked for it again. The API takes no message more than twice
//	I6   the answer goes to who asked, and answers what was asked; what comes ahead of it or is fetched is his, too
//	I7   an answered push was answered within 4.6 s; checked where a scenario does not take the time away
//	I8   the status is 200 and the body a valid reply, success, or empty
//	I9   a push that is not WeChat's comes to no row, no start and no 200
//	I10  WeChat's API is asked within 48 hours, and for no more messages than it takes for one of the user
//	I11  integrity_check, or amcheck of PostgreSQL, says ok; one row for each message, and none that nobody sent
//	I12  goroutines, descriptors and memory come back to where they were
//
// A message without any 200 is no violation: WeChat gave it up while the server
// was down, and it is counted as unaccepted.
//
// # The scenarios
//
// kill: SIGKILL at random moments, 50 to 1,500 ms after the process is ready, now and then
// while it starts, now and then after five to nine seconds, and every tenth time after 12 to 22 s, so
// that handlers of all lengths come to their end and the outbox tries again. The next process is started at once. When
// the kills are over, the users fetch what is still kept for them. Finds lost and
// repeated messages and answers at all points between accept and delivery. With -fast nearly all answers are in time for
// the first push, at a higher rate. It cannot see a missing
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
// sweep: one system call after the other goes wrong, by strace, in a run for each: EIO, no room, too many files, a reset
// connection, or two seconds; once, or from then on. Each run has three lives of the bot and some 50 messages, with answers
// that are late: one under the fault that makes its database, and is killed for every other k, one under the
// fault that finds it, and one in which nothing fails any more, after which all invariants must hold. k goes up until a run
// meets nothing; k_max of each fault is in the report, and 0 is a failure. strace counts for each thread: the k-th
// call fails in every thread that makes as many, so k_max is that of the busiest thread, several calls fail in a run, and which
// they are differs from run to run. A failed flush must end the process with 70; 78, after
// which nobody starts it again, is for a disk without room only. Beyond 64 not every k is tried. Among the calls of write are
// those by which the Go runtime wakes a thread, and it ends the process if one fails: the bot's own are
// the smaller part.
//
// api-down: WeChat's API carries nothing out for a while, under load, in three ways: nobody listens, what stands
// before it answers 502, or it takes requests and does not answer. What kill has of that is over after three seconds. Pushes must
// not notice, no message may be lost, and what waits goes out when the API is well again.
//
// soak: one process under load for hours, with a fault each minute that it must outlive: the API is down as above, or the
// process stands still for two seconds. It must not grow.
//
// restart: SIGTERM under load; the listening socket is inherited by the next process,
// which is started while the last one drains and waits for the lock of the database.
// No connection may be refused, nothing unaccepted, nothing started twice.
//
// # Several nodes
//
// The other scenarios run two nodes on a PostgreSQL of their own, several such sites side by side if they are told to.
// Before the nodes stands a balancer that asks /readyz and gives each push of a message to the next node; between each node and
// the database stands a proxy that can let bytes vanish, break connections off, and lose the answer to a commit. Nodes
// that end because there is no database are started again, as by a supervisor.
//
// two-nodes: nothing is broken; retries wait on one node for what runs on the other.
//
// pg-restart, pg-outage: the database server crashes (pg_ctl stop -m immediate) and recovers, at once or after up to 10 s. No
// message may be given up by WeChat.
//
// pg-lost-commit: answers of the database to a commit are lost, with their connection: what was asked for has
// happened, and the node does not know.
//
// pg-kill: the nodes are killed in turn, 7.6 s apart or more, and the database server crashes meanwhile. A message that nobody
// has accepted needs a reason for each of its pushes.
//
// partition: one node of each site cannot reach the database for a while: nothing arrives, or only what the node says, or connections
// are broken off, or everything takes 150 ms longer each way. What was on its way is lost, or arrives in the end. The other node takes over what the lease has
// run out of, and what the first one still has to say must not count. Starts: two at most.
//
// rolling: SIGTERM to the nodes in turn. Nothing unaccepted, nothing started twice.
//
// flood: most pushes are forged, and hundreds of connections send a byte now and then, from addresses that the server
// trusts, as through its own reverse proxy. The others must not notice.
//
// What these cannot see: a failover to another database server, clocks that differ (all processes have the
// machine's; see TestP3ClockJumpsOnTwoNodes in store/postgres), and segments of TCP that arrive in part.
//
// What a machine lacks (root, loop devices, mkfs.ext4, strace, PostgreSQL) is named and skipped,
// unless the environment variable ECHOSTR_TEST_REQUIRE names it in its list.
// LD_PRELOAD is used nowhere: a Go program makes its system calls itself.
package chaos
