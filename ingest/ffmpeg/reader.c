#include "reader.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/time.h>
#include <libswscale/swscale.h>

// interrupted is polled by FFmpeg while it waits.
static int interrupted(void *opaque) {
	oodcast_av *r = opaque;
	const int64_t deadline = atomic_load(&r->deadline);
	if (deadline && av_gettime_relative() >= deadline) r->expired = 1;
	return r->expired || atomic_load(&r->interrupted);
}

int oodcast_av_waits(oodcast_av *r) {
	const int64_t deadline = atomic_load(&r->deadline);
	return deadline && av_gettime_relative() < deadline;
}

oodcast_av *oodcast_av_alloc(void) { return calloc(1, sizeof(oodcast_av)); }

void oodcast_av_interrupt(oodcast_av *r) { atomic_store(&r->interrupted, 1); }

// complaint is the last error that FFmpeg logged on this thread.
static _Thread_local char complaint[sizeof(((oodcast_av *)0)->reason)];

// demuxing is the reader whose demuxer runs on this thread.
static _Thread_local oodcast_av *demuxing;

// wait_for sets the time until which the running call may wait, 0 for no limit.
static void wait_for(oodcast_av *r, int64_t microseconds) {
	atomic_store(&r->deadline, microseconds ? av_gettime_relative() + microseconds : 0);
}

// notice extends the wait for a packet while the demuxer of RTSP keeps packets of VP8 back until a key frame comes: FFmpeg tells
// nobody but its log that they came. Each packet of RTP counts where it comes over the connection of RTSP, on an even channel.
// Those that come over UDP are not logged, so that a key frame is given KEY_WAIT time limits from the first of them.
static void notice(oodcast_av *r, int level, const char *format, va_list args) {
	enum { KEY_WAIT = 12 };
	va_list copy;
	va_copy(copy, args);
	if (level == AV_LOG_TRACE && !strcmp(format, "id=%d len=%d\n")) {
		r->interleaved = 1;
		if (atomic_load(&r->keyless) && va_arg(copy, int) % 2 == 0) wait_for(r, r->timeout);
	} else if (level == AV_LOG_WARNING && r->timeout && r->stream && r->stream->codecpar->codec_id == AV_CODEC_ID_VP8) {
		char text[80];
		vsnprintf(text, sizeof text, format, copy);
		if (!atomic_load(&r->keyless) && (strstr(text, "Keyframe missing") || strstr(text, "sequence broken") || strstr(text, "no start marker"))) {
			atomic_store(&r->keyless, 1);
			wait_for(r, r->interleaved ? r->timeout : KEY_WAIT * r->timeout);
		}
	}
	va_end(copy);
}

static void keep_complaint(void *of, int level, const char *format, va_list args) {
	if (demuxing && of == demuxing->format) notice(demuxing, level, format, args);
	if (level > AV_LOG_ERROR) return;
	vsnprintf(complaint, sizeof complaint, format, args);
	complaint[strcspn(complaint, "\r\n")] = 0;
}

void oodcast_av_silence(void) { av_log_set_callback(keep_complaint); }

static void free_scaler(oodcast_av *r) {
	sws_freeContext(r->scaler);
	sws_freeContext(r->swapper);
	r->scaler = r->swapper = NULL;
	av_freep(&r->rows[0]);
}

void oodcast_av_free(oodcast_av *r) {
	free_scaler(r);
	av_frame_free(&r->frame);
	av_packet_free(&r->packet);
	av_packet_free(&r->converted);
	av_bsf_free(&r->annexb);
	avcodec_free_context(&r->codec);
	avformat_close_input(&r->format);
	avio_closep(&r->http); // the format does not own it
	free(r);
}

// described reports whether the SDP already names what a decoder must know to start. It learns the rest from the first key
// frame, which probing would hold back.
// Several tracks have to be compared.
static int described(const AVFormatContext *format, int track) {
	if (strcmp(format->iformat->name, "rtsp") != 0) return 0;
	int videos = 0;
	for (unsigned i = 0; i < format->nb_streams; i++) {
		const AVCodecParameters *p = format->streams[i]->codecpar;
		if (p->codec_type != AVMEDIA_TYPE_VIDEO) continue;
		if (p->codec_id == AV_CODEC_ID_NONE) return 0;
		videos++;
	}
	return videos == 1 || (videos > 1 && track >= 0);
}

static int is_playlist(const AVFormatContext *format) {
	const char *name = format->iformat->name;
	return !strcmp(name, "hls") || !strcmp(name, "dash");
}

// has_end reports whether the source says where it ends: a file does, over HTTP too, and a playlist that is complete.
static int has_end(const AVFormatContext *format) {
	if (is_playlist(format)) return format->duration > 0;
	return format->pb && avio_size(format->pb) > 0;
}

// sends_pictures reports whether what comes over HTTP are JPEG pictures one after the other, with or without text in between:
// the server says so, or it does not say what it sends and the beginning shows it.
static int sends_pictures(AVIOContext *http, int *single) {
	uint8_t *type = NULL;
	av_opt_get(http, "mime_type", AV_OPT_SEARCH_CHILDREN, &type);
	const char *mime = type ? (const char *)type : "";
	static const char *const types[] = {"multipart/", "image/jp", "image/pjp", "video/x-motion-jp", "video/x-mjp", "video/mjp",
		"video/x-jp", "video/jp"};
	int is = 0;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) is |= av_stristart(mime, types[i], NULL);
	const int parts = av_stristart(mime, "multipart/", NULL);
	const int silent = !*mime || av_stristart(mime, "application/octet", NULL) || av_stristart(mime, "text/plain", NULL);
	av_free(type);
	if (!is && silent && (avio_r8(http), avio_seek(http, -1, SEEK_CUR)) >= 0) {
		const uint8_t *head = http->buf_ptr;
		const ptrdiff_t n = http->buf_end - head;
		is = (n > 2 && head[0] == 0xFF && head[1] == 0xD8 && head[2] == 0xFF) || (n > 2 && head[0] == '-' && head[1] == '-') ||
		     (n > 18 && !av_strncasecmp((const char *)head, "Content-Type: image", 19));
	}
	*single = !parts;
	return is;
}

// open_http opens an address of HTTP and finds out whether FFmpeg's demuxers are to read it. They expect more order in a stream
// of JPEG pictures than cameras keep.
static int open_http(oodcast_av *r, const char *url, AVDictionary **options) {
	int err = avio_open2(&r->http, url, AVIO_FLAG_READ, &r->format->interrupt_callback, options);
	if (err) return err;
	r->pictures = sends_pictures(r->http, &r->single);
	if (!r->pictures) r->format->pb = r->http;
	return r->pictures && r->single && avio_size(r->http) > 0 ? OODCAST_ONE_PICTURE : 0;
}

static int open_format(oodcast_av *r, const char *url, const char *options, int track) {
	r->format = avformat_alloc_context();
	if (!r->format) return AVERROR(ENOMEM);
	r->format->interrupt_callback.callback = interrupted;
	r->format->interrupt_callback.opaque = r;
	AVDictionary *dict = NULL;
	int err = av_dict_parse_string(&dict, options, ";", "|", 0);
	if (!err && (av_stristart(url, "http:", NULL) || av_stristart(url, "https:", NULL))) err = open_http(r, url, &dict);
	if (!err && !r->pictures) err = avformat_open_input(&r->format, url, NULL, &dict); // frees format when it fails
	av_dict_free(&dict);
	if (err || r->pictures) return err;
	if (!described(r->format, track)) err = avformat_find_stream_info(r->format, NULL);
	return err < 0 ? err : 0;
}

// rank says how well a track suits: the largest that can be decoded comes first, then the one that is marked as the default,
// and then the one that FFmpeg prefers.
static int64_t rank(const AVFormatContext *format, int i, int preferred) {
	const AVStream *s = format->streams[i];
	if (!avcodec_find_decoder(s->codecpar->codec_id)) return 0;
	const int aside = s->disposition & (AV_DISPOSITION_TIMED_THUMBNAILS | AV_DISPOSITION_STILL_IMAGE);
	const int64_t pixels = aside ? 0 : (int64_t)s->codecpar->width * s->codecpar->height;
	return (pixels << 3) + 4 + (s->disposition & AV_DISPOSITION_DEFAULT ? 2 : 0) + (i == preferred ? 1 : 0);
}

// choose returns the index of the video track to read, and counts the tracks. Cover pictures are none.
static int choose(oodcast_av *r, int track) {
	const AVFormatContext *format = r->format;
	const int preferred = av_find_best_stream(r->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	int best = -1;
	int64_t highest = -1;
	for (unsigned i = 0; i < format->nb_streams; i++) {
		const AVStream *s = format->streams[i];
		if (s->codecpar->codec_type != AVMEDIA_TYPE_VIDEO || s->disposition & AV_DISPOSITION_ATTACHED_PIC) continue;
		const int64_t mine = track == r->tracks ? INT64_MAX : track < 0 ? rank(format, i, preferred) : -1;
		if (mine > highest) {
			highest = mine;
			best = i;
			r->track = r->tracks;
		}
		r->tracks++;
	}
	return best;
}

static int open_decoder(oodcast_av *r, const AVCodec *decoder, int64_t max_pixels) {
	if (!decoder) return AVERROR_DECODER_NOT_FOUND;
	r->codec = avcodec_alloc_context3(decoder);
	if (!r->codec) return AVERROR(ENOMEM);
	if (r->stream) {
		int err = avcodec_parameters_to_context(r->codec, r->stream->codecpar);
		if (err < 0) return err;
		r->codec->pkt_timebase = r->stream->time_base;
	}
	r->codec->max_pixels = max_pixels;
	r->codec->thread_count = 0; // as many as there are processors
	r->codec->thread_type = r->live ? FF_THREAD_SLICE : FF_THREAD_SLICE | FF_THREAD_FRAME;
	return avcodec_open2(r->codec, decoder, NULL);
}

static int open_track(oodcast_av *r, int track, int64_t max_pixels) {
	int best = choose(r, track);
	if (best < 0) return AVERROR_STREAM_NOT_FOUND;
	for (unsigned i = 0; i < r->format->nb_streams; i++)
		if ((int)i != best) r->format->streams[i]->discard = AVDISCARD_ALL;
	r->stream = r->format->streams[best];
	return open_decoder(r, avcodec_find_decoder(r->stream->codecpar->codec_id), max_pixels);
}

int oodcast_av_open(oodcast_av *r, const char *url, const char *options, int track, int live, int64_t timeout,
                    int64_t max_pixels) {
	r->live = live;
	r->timeout = timeout;
	complaint[0] = 0;
	int err = open_format(r, url, options, track);
	if (!err && r->pictures) {
		r->endless = 1;
		r->tracks = 1;
		err = track > 0 ? AVERROR_STREAM_NOT_FOUND : open_decoder(r, avcodec_find_decoder(AV_CODEC_ID_MJPEG), max_pixels);
	} else if (!err) {
		r->endless = live && !has_end(r->format);
		r->bursts = r->endless && is_playlist(r->format);
		err = open_track(r, track, max_pixels);
	}
	if (err) {
		memcpy(r->reason, complaint, sizeof r->reason);
		return err;
	}
	r->packet = av_packet_alloc();
	r->frame = av_frame_alloc();
	return r->packet && r->frame ? 0 : AVERROR(ENOMEM);
}

// demux reads the next packet, for which it waits no longer than microseconds; 0 is no limit.
static int demux(oodcast_av *r, int64_t microseconds) {
	wait_for(r, microseconds);
	demuxing = r;
	int err = av_read_frame(r->format, r->packet);
	demuxing = NULL;
	wait_for(r, 0);
	if (!err) atomic_store(&r->keyless, 0);
	return err;
}

// source_ended reports whether the demuxer has met the end of its source, or an error.
static int source_ended(const oodcast_av *r) {
	const AVIOContext *pb = r->format->pb;
	return pb && (pb->eof_reached || pb->error);
}

// broke_off returns why nothing follows the packet that the demuxer has just forced out.
static int broke_off(oodcast_av *r) {
	av_packet_unref(r->packet);
	if (!r->expired) {
		int err = demux(r, 100000); // the source is broken, so this call does not have to wait
		if (!err) av_packet_unref(r->packet);
		if (err && !r->expired) return err;
	}
	return r->expired ? AVERROR(ETIMEDOUT) : AVERROR_EOF;
}

// patience is how long the next packet of a live stream may take. The segments of a playlist come at once and ahead of their
// time: the next one may take as long as they play, and then the time-out.
static int64_t patience(const oodcast_av *r) {
	const int64_t ahead = r->due - av_gettime_relative();
	return r->timeout && r->bursts && ahead > 0 ? r->timeout + ahead : r->timeout;
}

// read_endless is demux for a live stream. Where a demuxer or a parser finds the end of a picture by the beginning of the next
// one, they keep the newest picture, and at the end of the stream, after an error and after a time-out they hand it out, whole
// or not, as if it had just come. read_endless returns the end or the error instead.
static int read_endless(oodcast_av *r) {
	const int parsing = av_stream_get_parser(r->stream) != NULL, ended = source_ended(r);
	int err = demux(r, patience(r));
	if (r->expired) {
		if (!err) av_packet_unref(r->packet);
		return AVERROR(ETIMEDOUT);
	}
	if (err) return err;
	// libavformat closes its parsers when it has made them hand out what they keep.
	const int forced = parsing && !av_stream_get_parser(r->stream);
	return forced || (!ended && source_ended(r)) ? broke_off(r) : 0;
}

// note_time keeps the time of the packet for patience.
static void note_time(oodcast_av *r) {
	const int64_t longest = 10 * AV_TIME_BASE, now = av_gettime_relative(); // a longer step is a jump of the timestamps
	const int64_t stamp = r->packet->dts != AV_NOPTS_VALUE ? r->packet->dts : r->packet->pts;
	if (!r->bursts || stamp == AV_NOPTS_VALUE) return;
	const int64_t time = av_rescale_q(stamp, r->stream->time_base, AV_TIME_BASE_Q), step = time - r->newest;
	if (r->due < now) r->due = now;
	if (r->packets > 1 && step > 0 && step <= longest) r->due += step;
	r->newest = time;
}

// decode passes the decoder the packet that was read.
static int decode(oodcast_av *r) {
	int err = avcodec_send_packet(r->codec, r->packet);
	av_packet_unref(r->packet);
	r->undecoded = 0;
	return err == AVERROR(ENOMEM) ? err : 0; // a broken packet: later ones may be intact
}

// feed passes the decoder one packet of the stream, or the end of the stream. It stops before a packet that is tapped.
static int feed(oodcast_av *r) {
	if (r->undecoded) return decode(r);
	int err = r->endless ? read_endless(r) : demux(r, r->live ? r->timeout : 0);
	if (err == AVERROR_EOF && !r->endless) { // the pictures that a live stream's decoder keeps are as old as those of its parser
		r->at_end = 1;
		return avcodec_send_packet(r->codec, NULL);
	}
	if (err == AVERROR(EAGAIN)) return 0;
	if (err) return err;
	if (r->packet->stream_index != r->stream->index) {
		av_packet_unref(r->packet);
		return 0;
	}
	const int key = r->packet->flags & AV_PKT_FLAG_KEY;
	r->packets++;
	if (key) r->keys++;
	note_time(r);
	if (r->tap == OODCAST_TAP_ALL || (r->tap == OODCAST_TAP_KEYS && key)) {
		r->undecoded = 1;
		return OODCAST_TAPPED;
	}
	return decode(r);
}

// inspect notes what a picture tells about the stream.
static void inspect(oodcast_av *r) {
	if (r->codec->has_b_frames || r->frame->pict_type == AV_PICTURE_TYPE_B) r->unfit |= OODCAST_REORDERED;
	if (r->frame->interlaced_frame) r->unfit |= OODCAST_INTERLACED;
}

int oodcast_av_next(oodcast_av *r) {
	for (int fed = 0;; fed = 1) {
		if (interrupted(r)) return r->expired ? AVERROR(ETIMEDOUT) : AVERROR_EXIT;
		int err = avcodec_receive_frame(r->codec, r->frame);
		if (!err) {
			inspect(r);
			return 0;
		}
		if (err == AVERROR_EOF || err == AVERROR(ENOMEM)) return err;
		if (r->at_end) {
			if (err == AVERROR(EAGAIN)) return AVERROR_EOF;
			continue; // the decoder still holds pictures behind the one that it could not decode
		}
		if (fed && r->endless) return AVERROR(EAGAIN);
		err = feed(r);
		if (err) return err;
	}
}

int oodcast_av_h264(const oodcast_av *r) {
	return r->endless && r->stream && r->stream->codecpar->codec_id == AV_CODEC_ID_H264;
}

// with_lengths reports whether NAL units begin with their length, as in MP4 and FLV, and not with a start code.
static int with_lengths(const uint8_t *headers, size_t size) { return headers && size > 6 && headers[0] == 1; }

// open_annexb prepares the conversion of packets that come with these headers.
static int open_annexb(oodcast_av *r, const uint8_t *headers, size_t size) {
	av_bsf_free(&r->annexb);
	int err = av_bsf_alloc(av_bsf_get_by_name("h264_mp4toannexb"), &r->annexb);
	if (err) return err;
	AVCodecParameters *par = r->annexb->par_in;
	par->codec_type = AVMEDIA_TYPE_VIDEO;
	par->codec_id = AV_CODEC_ID_H264;
	par->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
	if (par->extradata) {
		memcpy(par->extradata, headers, size);
		par->extradata_size = size;
		r->annexb->time_base_in = r->stream->time_base;
		err = av_bsf_init(r->annexb);
	} else {
		err = AVERROR(ENOMEM);
	}
	if (err) av_bsf_free(&r->annexb);
	return err;
}

const uint8_t *oodcast_av_headers(oodcast_av *r, int *size) {
	const AVCodecParameters *par = r->stream->codecpar;
	*size = 0;
	if (with_lengths(par->extradata, par->extradata_size)) {
		if (open_annexb(r, par->extradata, par->extradata_size)) return NULL;
		par = r->annexb->par_out;
	}
	*size = par->extradata_size;
	return par->extradata;
}

const uint8_t *oodcast_av_unit(oodcast_av *r, int *size) {
	size_t n = 0;
	const uint8_t *headers = av_packet_get_side_data(r->packet, AV_PKT_DATA_NEW_EXTRADATA, &n);
	*size = 0;
	if (with_lengths(headers, n) && open_annexb(r, headers, n)) return NULL;
	if (!r->annexb) {
		*size = r->packet->size;
		return r->packet->data;
	}
	if (!r->converted && !(r->converted = av_packet_alloc())) return NULL;
	av_packet_unref(r->converted);
	AVPacket *same = av_packet_clone(r->packet); // shares the data
	if (!same) return NULL;
	int err = av_bsf_send_packet(r->annexb, same);
	av_packet_free(&same);
	if (!err) err = av_bsf_receive_packet(r->annexb, r->converted);
	if (err) return NULL;
	*size = r->converted->size;
	return r->converted->data;
}

int oodcast_av_read(oodcast_av *r, uint8_t *dst, int size) {
	if (interrupted(r)) return r->expired ? AVERROR(ETIMEDOUT) : AVERROR_EXIT;
	wait_for(r, r->timeout);
	int n = avio_read_partial(r->http, dst, size);
	wait_for(r, 0);
	if (r->expired) return AVERROR(ETIMEDOUT);
	return n ? n : AVERROR_EOF;
}

int oodcast_av_decode(oodcast_av *r, const uint8_t *jpeg, int size) {
	int err = av_new_packet(r->packet, size);
	if (err) return err;
	memcpy(r->packet->data, jpeg, size);
	r->packets++;
	r->keys++;
	err = avcodec_send_packet(r->codec, r->packet);
	av_packet_unref(r->packet);
	if (!err) err = avcodec_receive_frame(r->codec, r->frame);
	return !err || err == AVERROR(ENOMEM) ? err : AVERROR(EAGAIN); // a broken picture: later ones may be intact
}

// swaps_exactly reports whether the scaler's RGB24 holds the same values as its BGR24. 8-bit 4:2:0 and 4:2:2 of even height
// share one converter, and so do formats whose chroma has full resolution: 4:4:4, RGB, grey. Other formats have another
// converter for BGR24 on x86 (4:2:0 of odd height differs by up to 44), and they go through BGR24 because that is what
// calibrations and golden results were made with: it is OpenCV's order.
static int swaps_exactly(const AVFrame *f) {
	switch (f->format) {
	case AV_PIX_FMT_YUV420P:
	case AV_PIX_FMT_YUVJ420P:
	case AV_PIX_FMT_YUV422P:
	case AV_PIX_FMT_YUVJ422P:
		return f->height % 2 == 0;
	}
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	return d && !d->log2_chroma_w && !d->log2_chroma_h && d->comp[0].depth >= 8;
}

static struct SwsContext *scaler(int width, int height, int from, int to) {
	return sws_getContext(width, height, from, width, height, to, SWS_BICUBIC, NULL, NULL, NULL);
}

// scale_to prepares the scaler, and where it needs one the swapper, for the frame.
static int scale_to(oodcast_av *r) {
	const AVFrame *f = r->frame;
	if (r->scaler && r->width == f->width && r->height == f->height && r->pixels == f->format &&
	    r->colours == f->colorspace && r->range == f->color_range)
		return 0;
	free_scaler(r);
	const int straight = swaps_exactly(f);
	r->scaler = scaler(f->width, f->height, f->format, straight ? AV_PIX_FMT_RGB24 : AV_PIX_FMT_BGR24);
	if (!straight) r->swapper = scaler(f->width, f->height, AV_PIX_FMT_BGR24, AV_PIX_FMT_RGB24);
	if (!r->scaler || (!straight && !r->swapper)) {
		free_scaler(r);
		return AVERROR(EINVAL);
	}
	if (f->colorspace != AVCOL_SPC_UNSPECIFIED || f->color_range != AVCOL_RANGE_UNSPECIFIED)
		sws_setColorspaceDetails(r->scaler, sws_getCoefficients(f->colorspace), f->color_range == AVCOL_RANGE_JPEG,
			sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
	r->width = f->width;
	r->height = f->height;
	r->pixels = f->format;
	r->colours = f->colorspace;
	r->range = f->color_range;
	return 0;
}

// convert writes a picture to dst in rows of row_bytes. It writes whole vectors, beyond the end of a row if need be.
static int convert(struct SwsContext *sws, const uint8_t *const *src, const int *src_bytes, int height, uint8_t *dst,
                   int row_bytes) {
	uint8_t *const rows[4] = {dst};
	const int strides[4] = {row_bytes};
	const int n = sws_scale(sws, src, src_bytes, 0, height, rows, strides);
	return n < 0 ? n : 0;
}

// orient writes rows to dst, packed, in the orientation that makes them upright.
static void orient(uint8_t *dst, const uint8_t *rows, int row_bytes, int width, int height, int orientation, int bgr) {
	const int flip_x = orientation & OODCAST_FLIP_X, flip_y = orientation & OODCAST_FLIP_Y, swap = orientation & OODCAST_SWAP;
	// Where the upper left pixel comes from, and how far it is from there to its right and its lower neighbour.
	const ptrdiff_t row = flip_y ? -row_bytes : row_bytes, pixel = flip_x ? -3 : 3;
	const uint8_t *corner = rows + (flip_y ? (height - 1) * (ptrdiff_t)row_bytes : 0) + (flip_x ? (width - 1) * (ptrdiff_t)3 : 0);
	const ptrdiff_t right = swap ? row : pixel, down = swap ? pixel : row;
	const int columns = swap ? height : width, lines = swap ? width : height, red = bgr ? 2 : 0;
	for (int y = 0; y < lines; y++, corner += down) {
		const uint8_t *src = corner;
		for (int x = 0; x < columns; x++, src += right, dst += 3) {
			dst[0] = src[red];
			dst[1] = src[1];
			dst[2] = src[2 - red];
		}
	}
}

// copy_out writes the rows to dst: packed, upright and as RGB.
static int copy_out(const oodcast_av *r, uint8_t *dst, int orientation) {
	const int width = r->width, height = r->height, row_bytes = r->row_bytes[0];
	if (orientation) {
		orient(dst, r->rows[0], row_bytes, width, height, orientation, r->swapper != NULL);
		return 0;
	}
	if (r->swapper) return convert(r->swapper, (const uint8_t *const *)r->rows, r->row_bytes, height, dst, 3 * width);
	av_image_copy_plane(dst, 3 * width, r->rows[0], row_bytes, 3 * width, height);
	return 0;
}

int oodcast_av_rgb(oodcast_av *r, uint8_t *dst, int orientation) {
	int err = scale_to(r);
	if (err) return err;
	const AVFrame *f = r->frame;
	const uint8_t *const *planes = (const uint8_t *const *)f->data;
	const int vector = 32; // pixels and bytes: the widest of x86 and ARM
	if (!orientation && !r->swapper && f->width % vector == 0 && (uintptr_t)dst % vector == 0)
		return convert(r->scaler, planes, f->linesize, f->height, dst, 3 * f->width);
	if (!r->rows[0]) {
		int size = av_image_alloc(r->rows, r->row_bytes, f->width, f->height, AV_PIX_FMT_RGB24, 64);
		if (size < 0) return size;
	}
	err = convert(r->scaler, planes, f->linesize, f->height, r->rows[0], r->row_bytes[0]);
	return err ? err : copy_out(r, dst, orientation);
}

// display_matrix is the matrix of the picture, else of the stream; NULL when neither has one.
static const int32_t *display_matrix(const oodcast_av *r) {
	const AVFrameSideData *side = av_frame_get_side_data(r->frame, AV_FRAME_DATA_DISPLAYMATRIX);
	if (side && side->size >= 9 * sizeof(int32_t)) return (const int32_t *)side->data;
	if (!r->stream) return NULL;
	size_t size = 0;
	const uint8_t *data = av_stream_get_side_data(r->stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
	return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
}

int oodcast_av_orientation(const oodcast_av *r) {
	const int32_t *m = display_matrix(r);
	if (!m) return 0;
	// A pixel at (x, y) is shown at (a x + c y, b x + d y). The nearest multiple of a right angle counts.
	const int64_t a = m[0], b = m[1], c = m[3], d = m[4];
	if (llabs(b) + llabs(c) > llabs(a) + llabs(d))
		return OODCAST_SWAP | (b < 0 ? OODCAST_FLIP_X : 0) | (c < 0 ? OODCAST_FLIP_Y : 0);
	return (a < 0 ? OODCAST_FLIP_X : 0) | (d < 0 ? OODCAST_FLIP_Y : 0);
}
