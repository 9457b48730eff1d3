package load

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/echostr/echostr/simulator"
)

// Slow is the kind of a text whose answer takes longer than a push may.
const Slow = "slow"

// kinds are what users send. Media have ids of their own, so that the simulator keeps no media for them.
var kinds = []struct {
	name string
	make func(c *Config) simulator.Message
}{
	{"text", func(c *Config) simulator.Message { return simulator.Text(c.Text) }},
	{Slow, func(c *Config) simulator.Message { return simulator.Text(c.SlowText) }},
	{"image", func(*Config) simulator.Message {
		return simulator.Image("http://mmbiz.qpic.cn/mmbiz_jpg/load/0", mediaID)
	}},
	{"voice", func(*Config) simulator.Message { return simulator.Voice(mediaID, "") }},
	{"video", func(*Config) simulator.Message { return simulator.Video(mediaID, mediaID+"_thumb") }},
	{"location", func(*Config) simulator.Message {
		return simulator.Location(23.134521, 113.358803, 20, "广州市天河区")
	}},
	{"link", func(*Config) simulator.Message {
		return simulator.Link("公众平台官网链接", "", "https://mp.weixin.qq.com/")
	}},
	{"subscribe", func(*Config) simulator.Message { return simulator.Subscribe("") }},
	{"unsubscribe", func(*Config) simulator.Message { return simulator.Unsubscribe() }},
	{"scan", func(*Config) simulator.Message { return simulator.Scan("load") }},
	{"click", func(*Config) simulator.Message { return simulator.Click("LOAD") }},
	{"view", func(*Config) simulator.Message { return simulator.View("https://mp.weixin.qq.com/") }},
	{"locate", func(*Config) simulator.Message { return simulator.LocationEvent(23.134521, 113.358803, 40) }},
}

const mediaID = "load_media_id"

// Kinds names the kinds of messages that a [Mix] may have.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i := range kinds {
		names[i] = kinds[i].name
	}
	return names
}

// Mix is the shares of the kinds of messages, which need not sum up to anything.
type Mix []Share

// Share is one kind and its share.
type Share struct {
	Kind  string
	Share float64
}

// ParseMix reads a mix such as "text=80,click=20".
func ParseMix(text string) (Mix, error) {
	var m Mix
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(strings.TrimSpace(part), "=")
		share, err := strconv.ParseFloat(number, 64)
		switch {
		case !ok || err != nil || !(share >= 0) || math.IsInf(share, 0):
			return nil, fmt.Errorf("%q is no kind with its share; write them like text=80,click=20", part)
		case !slices.Contains(Kinds(), name):
			return nil, fmt.Errorf("there is no kind of message %q in a mix; the kinds are %s", name, strings.Join(Kinds(), ", "))
		case slices.ContainsFunc(m, func(s Share) bool { return s.Kind == name }):
			return nil, fmt.Errorf("%s is there twice; give every kind one share", name)
		case share > 0:
			m = append(m, Share{name, share})
		}
	}
	if len(m) == 0 {
		return nil, errors.New("nothing has a share; write them like text=80,click=20")
	}
	return m, nil
}

// String writes the mix as [ParseMix] reads it.
func (m Mix) String() string {
	parts := make([]string, len(m))
	for i, s := range m {
		parts[i] = s.Kind + "=" + strconv.FormatFloat(s.Share, 'g', -1, 64)
	}
	return strings.Join(parts, ",")
}

// pick returns the index of the kind that x, which lies between 0 and 1, falls to.
func (m Mix) pick(x float64) int {
	sum := 0.0
	for _, s := range m {
		sum += s.Share
	}
	x *= sum
	for i, s := range m {
		if x -= s.Share; x < 0 {
			return i
		}
	}
	return len(m) - 1
}
