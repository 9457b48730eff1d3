package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is a switch that lets calls of the HTTP API go wrong, as they do with WeChat. In text
// and in JSON it is written as [ParseFault] reads it.
type Fault struct {
	// Path says which calls: any part of a path that begins and ends at a slash, such as
	// "custom/send" or "token". "*" is every call.
	Path string
	// Latency is how long the answer is kept back. Everything else comes after it.
	Latency time.Duration
	// Errcode is answered instead of doing what was asked for, if it is not 0. Errmsg begins
	// as WeChat's does for -1, 40001, 42001, 45009, 45015, 45047, 48001 and all others that
	// the API knows.
	Errcode int
	// HTML answers 502 and a page in HTML, as a gateway does, and does nothing.
	HTML bool
	// LoseResponse does what was asked for and breaks the connection instead of answering.
	LoseResponse bool
	// Times is how many calls it meets before it is removed. 0 means all, until it is taken back.
	Times int
}

// ParseFault reads a fault in the form PATH=WHAT[+WHAT...][*TIMES], where WHAT is an errcode,
// "html", "lose", or a duration, which is the latency: "custom/send=45015*2",
// "token=-1", "*=3s", "custom/send=2s+lose*1".
func ParseFault(text string) (Fault, error) {
	path, what, ok := strings.Cut(text, "=")
	f := Fault{Path: strings.Trim(path, "/ ")}
	if !ok || f.Path == "" || what == "" {
		return Fault{}, fmt.Errorf("simulator: the fault %q is not in the form PATH=WHAT*TIMES; write one like custom/send=45015*2", text)
	}
	if at := strings.LastIndexByte(what, '*'); at >= 0 {
		n, err := strconv.Atoi(what[at+1:])
		if err != nil || n < 1 {
			return Fault{}, fmt.Errorf("simulator: the fault %q has no number of times behind the *; write one like custom/send=45015*2", text)
		}
		f.Times, what = n, what[:at]
	}
	for part := range strings.SplitSeq(what, "+") {
		code, codeErr := strconv.ParseInt(part, 10, 32)
		latency, err := time.ParseDuration(part)
		switch {
		case part == "lose":
			f.LoseResponse = true
		case part == "html":
			f.HTML = true
		case codeErr == nil && code != 0:
			f.Errcode = int(code)
		case codeErr != nil && err == nil && latency > 0:
			f.Latency = latency
		default:
			return Fault{}, fmt.Errorf("simulator: the fault %q has %q, which is neither an errcode, nor lose, nor html, nor a duration such as 3s", text, part)
		}
	}
	return f, nil
}

// String writes the fault as ParseFault reads it.
func (f Fault) String() string {
	var what []string
	if f.Latency > 0 {
		what = append(what, f.Latency.String())
	}
	if f.Errcode != 0 {
		what = append(what, strconv.Itoa(f.Errcode))
	}
	if f.HTML {
		what = append(what, "html")
	}
	if f.LoseResponse {
		what = append(what, "lose")
	}
	text := f.Path + "=" + strings.Join(what, "+")
	if f.Times > 0 {
		text += "*" + strconv.Itoa(f.Times)
	}
	return text
}

// MarshalText writes the fault as ParseFault reads it.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is ParseFault.
func (f *Fault) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFault(string(text))
	return err
}

// matches reports whether f is meant for calls of a path.
func (f Fault) matches(path string) bool {
	return f.Path == "*" || strings.Contains("/"+strings.Trim(path, "/")+"/", "/"+strings.Trim(f.Path, "/")+"/")
}

// Calls returns the paths of the calls of the API that f is for, sorted. If there are none, only
// calls that the API does not have can meet it.
func (f Fault) Calls() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for path := range endpoints {
			if f.matches(path) && !yield(path) {
				return
			}
		}
	})
}

// SetFaults replaces the faults of the HTTP API; without arguments there are none. Of several
// that fit a call the first counts, so faults with Times are played one after the other.
func (p *Platform) SetFaults(faults ...Fault) error {
	for _, f := range faults {
		if f.Path == "" || f.Times < 0 || f.Latency < 0 || f.Latency == 0 && f.Errcode == 0 && !f.HTML && !f.LoseResponse {
			return errors.New("simulator: a fault needs a path and something that goes wrong; see ParseFault")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.api.faults = slices.Clone(faults)
	return nil
}

// Faults returns the faults that are still in force, with the times that are left.
func (p *Platform) Faults() []Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.api.faults)
}

// takeFault returns the fault for a call, and counts it.
func (p *Platform) takeFault(path string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.api.faults, func(f Fault) bool { return f.matches(path) })
	if i < 0 {
		return Fault{}
	}
	f := p.api.faults[i]
	switch f.Times {
	case 0:
	case 1:
		p.api.faults = slices.Delete(p.api.faults, i, i+1)
	default:
		p.api.faults[i].Times--
	}
	return f
}

// badGateway is the page of a gateway that has lost its server.
func badGateway(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte("<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n</body>\n</html>\n"))
}
