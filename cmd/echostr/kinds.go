package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/echostr/echostr/simulator"
)

// kind is one kind of message that push can send.
type kind struct {
	name     string
	args     string // as help shows them
	about    string
	min, max int // number of arguments; max -1: any
	make     func(c *pushCommand, args []string) (simulator.Message, error)
}

var kinds = []kind{
	{"text", "CONTENT", "文本, with --menu-id a tap in a menu message", 1, -1, makeText},
	{"image", "[PICURL]", "图片", 0, 1, func(_ *pushCommand, args []string) (simulator.Message, error) {
		return simulator.Image(arg(args, 0, ""), ""), nil
	}},
	{"voice", "", "语音, with --recognition what was heard", 0, 0, makeVoice},
	{"video", "", "视频", 0, 0, func(*pushCommand, []string) (simulator.Message, error) { return simulator.Video("", ""), nil }},
	{"shortvideo", "", "小视频", 0, 0, func(*pushCommand, []string) (simulator.Message, error) { return simulator.ShortVideo("", ""), nil }},
	{"location", "[LATITUDE LONGITUDE [LABEL]]", "地理位置, a place that the user sends (-- before a negative number)", 0, 3, makeLocation},
	{"link", "[URL [TITLE]]", "链接", 0, 2, func(_ *pushCommand, args []string) (simulator.Message, error) {
		return simulator.Link(arg(args, 1, "公众平台官网链接"), "", arg(args, 0, "https://mp.weixin.qq.com/")), nil
	}},
	{"file", "NAME", "文件", 1, 1, func(_ *pushCommand, args []string) (simulator.Message, error) {
		return simulator.File(args[0], 1024), nil
	}},
	{"subscribe", "", "关注, with --scene by a QR code (带参数二维码)", 0, 0, func(c *pushCommand, _ []string) (simulator.Message, error) {
		return simulator.Subscribe(c.Scene), nil
	}},
	{"unsubscribe", "", "取消关注", 0, 0, func(*pushCommand, []string) (simulator.Message, error) { return simulator.Unsubscribe(), nil }},
	{"scan", "SCENE", "扫描带参数二维码, by a follower", 1, 1, func(_ *pushCommand, args []string) (simulator.Message, error) {
		return simulator.Scan(args[0]), nil
	}},
	{"click", "KEY", "点击菜单, a button with this key", 1, 1, func(_ *pushCommand, args []string) (simulator.Message, error) {
		return simulator.Click(args[0]), nil
	}},
	{"view", "URL", "点击菜单跳转链接", 1, 1, func(_ *pushCommand, args []string) (simulator.Message, error) {
		return simulator.View(args[0]), nil
	}},
	{"locate", "[LATITUDE LONGITUDE]", "上报地理位置, the event LOCATION", 0, 2, makeLocate},
}

func arg(args []string, i int, otherwise string) string {
	if i < len(args) {
		return args[i]
	}
	return otherwise
}

func makeText(c *pushCommand, args []string) (simulator.Message, error) {
	content := strings.Join(args, " ")
	if c.MenuID != "" {
		return simulator.MenuText(content, c.MenuID), nil
	}
	return simulator.Text(content), nil
}

func makeVoice(c *pushCommand, _ []string) (simulator.Message, error) {
	if c.Recognition != nil {
		return simulator.Voice("", *c.Recognition), nil
	}
	return simulator.Voice(""), nil
}

// The place of the samples in WeChat's documentation is near here.
const (
	someLatitude  = 23.134521
	someLongitude = 113.358803
)

func makeLocation(_ *pushCommand, args []string) (simulator.Message, error) {
	latitude, longitude, err := degrees(args)
	return simulator.Location(latitude, longitude, 20, arg(args, 2, "广州市天河区")), err
}

func makeLocate(_ *pushCommand, args []string) (simulator.Message, error) {
	latitude, longitude, err := degrees(args)
	return simulator.LocationEvent(latitude, longitude, 40), err
}

func degrees(args []string) (latitude, longitude float64, err error) {
	switch {
	case len(args) == 0:
		return someLatitude, someLongitude, nil
	case len(args) == 1:
		return 0, 0, usage("a place has a latitude and a longitude; write them like 23.134521 113.358803")
	}
	latitude, err1 := strconv.ParseFloat(args[0], 64)
	longitude, err2 := strconv.ParseFloat(args[1], 64)
	if errors.Join(err1, err2) != nil || !(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180) {
		return 0, 0, usage("%q %q is no place; write latitude and longitude in degrees, like 23.134521 113.358803", args[0], args[1])
	}
	return latitude, longitude, nil
}

// message makes the message that the arguments ask for.
func (c *pushCommand) message(term *terminal) (simulator.Message, error) {
	name, args := c.Kind, c.Args
	for _, k := range kinds {
		if k.name != strings.ToLower(name) {
			continue
		}
		if len(args) < k.min || k.max >= 0 && len(args) > k.max {
			return simulator.Message{}, usage("this is written `echostr push %s`", strings.TrimSpace(k.name+" "+k.args))
		}
		if err := c.misplaced(k.name); err != nil {
			return simulator.Message{}, err
		}
		return k.make(c, args)
	}
	if name != "-" && !strings.ContainsAny(name, `./\`) {
		return simulator.Message{}, usage("there is no kind of message %q%s: the kinds are %s, or give the name of an XML file", name, similar(name), kindNames())
	}
	if len(args) > 0 {
		return simulator.Message{}, usage("one file is sent at a time; leave %q out", args[0])
	}
	if err := c.misplaced(xmlFile); err != nil {
		return simulator.Message{}, err
	}
	document, err := readInput(name, term)
	if err != nil {
		return simulator.Message{}, err
	}
	return simulator.Raw(document, simulator.RawOptions{Keep: c.Keep})
}

// xmlFile stands for the kind of a message that comes from a file.
const xmlFile = "FILE.xml"

// misplaced refuses flags that a kind has no use for.
func (c *pushCommand) misplaced(kind string) error {
	switch {
	case c.Scene != "" && kind != "subscribe":
		return usage("--scene is for subscribe; a scan is written `echostr push scan SCENE`")
	case c.Recognition != nil && kind != "voice":
		return usage("--recognition is for voice")
	case c.Keep && kind != xmlFile:
		return usage("--keep is for a captured push in a file")
	case c.MenuID != "" && kind != "text":
		return usage("--menu-id is for text")
	}
	return nil
}

func kindNames() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

// similar suggests the kind that was probably meant: the one that begins alike.
func similar(name string) string {
	i := slices.IndexFunc(kinds, func(k kind) bool {
		return strings.HasPrefix(k.name, strings.ToLower(name)) || strings.HasPrefix(name, k.name) || oneEdit(name, k.name)
	})
	if i < 0 {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", kinds[i].name)
}

// oneEdit reports whether a becomes b by one letter more, less or other, or two swapped.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return i == len(a) || a[i+1:] == b[i+1:] ||
		i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

const maxInput = 4 << 20

// readInput reads a file, or the standard input if the name is "-".
func readInput(name string, term *terminal) ([]byte, error) {
	in := term.in
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s; check its name", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w; check its name and your rights", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(data) > maxInput:
		return nil, fmt.Errorf("%s is longer than 4 MiB, which no push is; give the body of one push", name)
	}
	return data, nil
}
