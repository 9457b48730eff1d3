package callback

import "sync"

// workers are the goroutines that drive flights, run handlers and send messages. Idle ones are
// kept, because the stack of a new goroutine is too small for any of that and
// would be grown, by copying, for every message.
type workers struct {
	mu      sync.Mutex
	idle    []chan task
	stopped bool
}

// task is a flight to be driven, or else something to be done.
type task struct {
	f  *flight
	do func()
}

// maxIdle is how many idle goroutines are kept: enough for a burst, and little
// memory.
const maxIdle = 64

// drive has a goroutine drive f.
func (w *workers) drive(f *flight) { w.start(task{f: f}) }

// do has a goroutine do something.
func (w *workers) do(do func()) { w.start(task{do: do}) }

func (w *workers) start(t task) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		next := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		next <- t
		return
	}
	w.mu.Unlock()
	go w.run(t)
}

func (w *workers) run(t task) {
	next := make(chan task, 1)
	for {
		switch {
		case t.f != nil:
			t.f.drive()
		case t.do != nil:
			t.do()
		default: // stopped
			return
		}
		w.mu.Lock()
		if w.stopped || len(w.idle) >= maxIdle {
			w.mu.Unlock()
			return
		}
		w.idle = append(w.idle, next)
		w.mu.Unlock()
		t = <-next
	}
}

// stop ends the idle goroutines; busy ones end when they are done.
func (w *workers) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, next := range w.idle {
		close(next)
	}
	w.idle = nil
}
