package simulator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSend(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	medium := func(kind string) string {
		m := inventedMedia(kind, "x", a.now)
		got := a.upload(kind, m.Name, m.Data)
		return got.str("media_id") + got.str("thumb_media_id")
	}
	image, voice, video, thumb := medium("image"), medium("voice"), medium("video"), medium("thumb")
	account := Bubble{From: FromAccount, Way: WayAPI}
	bubble := func(f func(*Bubble)) Bubble {
		b := account
		f(&b)
		return b
	}
	tests := []struct {
		message string
		want    Bubble
	}{
		{
			`"msgtype":"text","text":{"content":"<b>\"x\"\n\\u</b>"},"customservice":{"kf_account":"test1@kftest"}`,
			bubble(func(b *Bubble) { b.Kind, b.Text, b.Agent = "text", "<b>\"x\"\n\\u</b>", "test1@kftest" }),
		},
		{`"msgtype":"text","text":{"content":"x"},"CustomService":{"kf_account":"a@b"}`, bubble(func(b *Bubble) { b.Kind, b.Text = "text", "x" })},
		{`"msgtype":"image","image":{"media_id":"` + image + `"}`, bubble(func(b *Bubble) { b.Kind, b.MediaID = "image", image })},
		{`"msgtype":"voice","voice":{"media_id":"` + voice + `"}`, bubble(func(b *Bubble) { b.Kind, b.MediaID = "voice", voice })},
		{
			`"msgtype":"video","video":{"media_id":"` + video + `","thumb_media_id":"` + thumb + `","title":"T","description":"D"}`,
			bubble(func(b *Bubble) {
				b.Kind, b.MediaID, b.ThumbMediaID, b.Title, b.Description = "video", video, thumb, "T", "D"
			}),
		},
		{
			`"msgtype":"music","music":{"title":"T","description":"D","musicurl":"http://m","hqmusicurl":"http://h","thumb_media_id":"` + thumb + `"}`,
			bubble(func(b *Bubble) {
				b.Kind, b.ThumbMediaID, b.Title, b.Description, b.MusicURL, b.HQMusicURL = "music", thumb, "T", "D", "http://m", "http://h"
			}),
		},
		{
			`"msgtype":"news","news":{"articles":[{"title":"T","description":"D","url":"http://u","picurl":"http://p"}]}`,
			bubble(func(b *Bubble) { b.Kind, b.Articles = "news", []Article{{"T", "D", "http://p", "http://u"}} }),
		},
		{`"msgtype":"mpnewsarticle","mpnewsarticle":{"article_id":"A"}`, bubble(func(b *Bubble) { b.Kind, b.ArticleID = "article", "A" })},
		{
			`"msgtype":"msgmenu","msgmenu":{"head_content":"H","list":[{"id":"101","content":"满意"},{"id":"102","content":"不满意"}],"tail_content":"T"}`,
			bubble(func(b *Bubble) {
				b.Kind, b.Text, b.Tail, b.Entries = "msgmenu", "H", "T", []MenuEntry{{"101", "满意"}, {"102", "不满意"}}
			}),
		},
		{`"msgtype":"wxcard","wxcard":{"card_id":"C"}`, bubble(func(b *Bubble) { b.Kind, b.CardID = "card", "C" })},
		{
			`"msgtype":"miniprogrampage","miniprogrampage":{"title":"T","appid":"wx1","pagepath":"p?a=b","thumb_media_id":"` + thumb + `"}`,
			bubble(func(b *Bubble) {
				b.Kind, b.Title, b.AppID, b.PagePath, b.ThumbMediaID = "miniprogrampage", "T", "wx1", "p?a=b", thumb
			}),
		},
	}
	for _, tt := range tests {
		a.says("窗口")
		before := len(a.user.Chat())
		a.want(tt.message, a.send(tt.message), 0)
		chat := a.user.Chat()
		if len(chat) != before+1 {
			t.Errorf("%s: the user sees %d more bubbles", tt.message, len(chat)-before)
			continue
		}
		got := chat[before]
		got.ID, got.At, got.Spans = 0, time.Time{}, nil
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.message, diff)
		}
	}
}
