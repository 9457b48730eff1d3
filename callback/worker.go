package callback

import "sync"

// workers are the goroutines that drive flights and run handlers. Idle ones are
// kept, because the stack of a new goroutine is too small for a handler and
// would be grown, by copying, for every message.
type workers struct {
	mu      sync.Mutex
	idle    []chan *flight
	stopped bool
}

// maxIdle is how many idle goroutines are kept: enough for a burst, and little
// memory.
const maxIdle = 64

// drive has a goroutine drive f.
func (w *workers) drive(f *flight) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		next := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		next <- f
		return
	}
	w.mu.Unlock()
	go w.run(f)
}

func (w *workers) run(f *flight) {
	next := make(chan *flight, 1)
	for f != nil {
		f.drive()
		w.mu.Lock()
		if w.stopped || len(w.idle) >= maxIdle {
			w.mu.Unlock()
			return
		}
		w.idle = append(w.idle, next)
		w.mu.Unlock()
		f = <-next
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
