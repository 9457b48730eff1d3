// Package bots holds the built-in bots that `bot:` in echostr.yaml names.
package bots

import (
	"context"

	"github.com/echostr/echostr"
)

// Sample returns the bot of the seed programs: it echoes texts and voices,
// welcomes followers, and names the scene of QR codes. What it answers is
// fixed; examples/sample is the same bot as a program of its own.
func Sample() *echostr.Router {
	r := echostr.NewRouter()
	sample(r)
	return r
}

// The texts of the sample.
const (
	welcome      = "感谢您的关注!"
	unrecognised = "未识别"
	otherwise    = "I love you, itcast!"
)

// sample registers the sample's routes behind those that r has.
func sample(r *echostr.Router) {
	echostr.On(r, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		if m.Content == "" {
			return nil, nil // an empty text would be a fault notice: R-REPLY-EMPTY
		}
		return echostr.Text(m.Content), nil
	})
	echostr.On(r, func(_ context.Context, m *echostr.VoiceMessage) (echostr.Reply, error) {
		// Empty is what most accounts get today, and the same as absent: R-MSG-VOICE
		if m.Recognition == "" {
			return echostr.Text(unrecognised), nil
		}
		return echostr.Text(m.Recognition), nil
	})
	echostr.On(r, func(_ context.Context, m *echostr.SubscribeEvent) (echostr.Reply, error) {
		if scene := m.Scene(); scene != "" {
			return echostr.Text(welcome + "场景值:" + scene), nil
		}
		return echostr.Text(welcome), nil
	})
	echostr.On(r, func(_ context.Context, m *echostr.ScanEvent) (echostr.Reply, error) {
		return echostr.Text("您扫描的场景值为:" + m.Scene()), nil
	})
	echostr.On(r, func(context.Context, echostr.Message) (echostr.Reply, error) {
		return nil, nil
	}, echostr.Event())
	echostr.On(r, func(context.Context, echostr.Message) (echostr.Reply, error) {
		return echostr.Text(otherwise), nil
	})
}
