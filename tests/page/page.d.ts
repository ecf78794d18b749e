/** What the page's script is checked against: the wire (see babblefish/wire), what its parts tell each other, the browser. */

type Quality = "original" | "good" | "draft" | "untranslated" | "partial";

interface LanguageInfo {
  code: string;
  bcp47: string;
  name: string;
  native_name: string;
  captions: string;
  voice: string | null;
}

/** What a client chooses and the server agrees to. */
interface Choices {
  target_lang: string;
  source_lang: string;
  audio: "stream" | "none";
  /** What an older server does not know, and what the server decides where nobody has chosen. */
  interpreting?: "simultaneous" | "consecutive";
}

interface Ready extends Choices {
  client_id: string;
  languages: LanguageInfo[];
  history_id?: string | null;
  last_seq?: number;
  token?: string | null;
  wants_played?: boolean;
  /** Null where a voice is forgotten with the room; an older server says nothing. */
  voices_kept_days?: number | null;
}

/** What is known better by now of whose voice something was. */
interface SpeakerNews {
  speaker_id: string;
  name: string;
  seqs?: number[];
  replaces?: string | null;
}

interface EnrolmentNews {
  state: "listening" | "other_voice" | "done" | "ended";
  heard_s: number;
  needed_s: number;
  speaker_id: string | null;
  voice_id: string | null;
  voice_token: string | null;
}

/** A voice that has enrolled on this device; `id` is the server's for it over HTTP. */
interface KeptVoice {
  id: string;
  token: string;
  speakerId: string;
  name: string;
}

/** What a caption is made of; a partial one has no more. */
interface Said {
  utterance_id: string;
  client_id: string;
  speaker_id: string;
  speaker_name: string;
  speaker_likely?: boolean;
  quality: Quality;
  source_text: string;
  source_lang: string;
  source_confidence?: number;
  source_lang_confidence?: number;
  translation: string;
  target_lang: string;
  requested_lang?: string;
  path?: string[];
  seq?: number;
  timestamp?: string;
  latency_ms?: number;
  /** It goes on from the client's result before. */
  continues?: boolean;
  typed?: boolean;
  replayed?: boolean;
}

interface Result extends Said {
  source_lang_confidence: number;
  seq: number;
  timestamp: string;
  latency_ms: number;
  status: "final" | "speaking";
  tts_audio: string | null;
}

interface PartialResult {
  client_id: string;
  utterance_id: string;
  name: string;
  source_text: string;
  source_lang: string;
  translation: string | null;
  target_lang: string;
  continues?: boolean;
}

interface Member {
  client_id: string;
  name: string;
  target_lang: string;
}

interface Term {
  text: string;
  translations: Record<string, string>;
  spoken: Record<string, string>;
}

interface ServerError {
  code: string;
  message: string;
  fatal?: boolean;
  utterance_id?: string | null;
}

/** The server's messages by their type. */
interface ServerHandlers {
  ready(message: Ready): void;
  result(message: Result): void;
  speech(message: { utterance_id: string; index: number; audio: string | null; last: boolean }): void;
  speaker(message: SpeakerNews): void;
  enrolment(message: EnrolmentNews): void;
  presence(message: { members: Member[] }): void;
  glossary(message: { terms: Term[] }): void;
  partial(message: PartialResult): void;
  talking(message: { client_id: string; talking: boolean }): void;
  resumed(message: { replayed: number; lost: number; lost_unknown?: boolean }): void;
  settled(message: Choices): void;
  behind(message: { seconds: number; without?: string[] }): void;
  error(message: ServerError): void;
}

/* What the parts tell */

/** 40 ms of the microphone: Int16 at 16 kHz, and their root mean square as a fraction of full scale. */
interface Frame {
  pcm: ArrayBuffer;
  rms: number;
}

interface SpeechHandlers {
  /** To be sent now, in order. */
  frames(frames: ArrayBuffer[]): void;
  /** The utterance ends here. */
  end(): void;
  /** From 0 to 1, for the eye. */
  level(loudness: number): void;
  /** The button of push-to-talk was pressed or let go. */
  talking(talking: boolean): void;
  /** Something was said that may be translated now. */
  spoke(): void;
  changed(): void;
}

/** One utterance in the player. */
interface Utterance {
  key: string;
  id: string;
  seq: number;
  /** Its stream (or before all streams), then its place there. */
  order: number[];
  /** The id of the one from which it goes on, or "". */
  follows: string;
  /** By index: decoded, being decoded, or broken. */
  pieces: Map<number, AudioBuffer | "decoding" | null>;
  /** Index of the piece to be scheduled next. */
  next: number;
  pieceCount: number;
  /** Nothing more will come. */
  cut: boolean;
  heard: number;
}

/** A piece that was heard to its end; times in seconds on the sound's clock. */
interface PlayedPiece {
  utteranceId: string;
  seq: number;
  index: number;
  start: number;
  end: number;
}

interface PlayerHandlers {
  /** An utterance is heard for the first time. */
  started(id: string): void;
  /** Another voice may be heard, or none. */
  changed(): void;
  /** These will not be heard, to catch up. */
  skipped(ids: string[]): void;
}

interface ConnectionHandlers {
  /**
   * `connecting`, `joined`, or while it tries again in so many seconds: `unreachable`, `reconnecting`, `loading`, `full`,
   * `limited`; `why` in the server's words.
   */
  phase(name: string, retryS?: number, why?: string): void;
  message(message: { type: string }): void;
  /** Trying again would not help. */
  refused(why: string, code: string): void;
}

interface CaptionHandlers {
  /** Something is to be done about the voice of a result. */
  voice(speakerId: string, was: string, seq?: number): void;
  replay(utteranceIds: string[]): void;
  likely(): string[];
  speak(lang: string): void;
}

/** What is shown of an utterance, or of several that go on from each other. */
interface Card {
  item: HTMLElement;
  mine: boolean;
  parts: Said[];
  /** The utterances that can be heard again. */
  voiced: Set<string>;
}

/** A caption of what somebody is saying at this moment. */
interface ShownPartial {
  clientId: string;
  id: string;
  item: HTMLElement;
  timer: number;
}

interface TranscriptLine {
  seq: number;
  timestamp: string;
  client_id: string;
  speaker_id: string;
  speaker: string;
  continues: boolean;
  source_lang: string;
  source_text: string;
  target_lang: string;
  translation: string;
}

/** What the state in the dock depends on. */
interface Situation {
  phase: string;
  soundPaused: boolean;
  talking: boolean;
  behindS: number;
  speaking: boolean;
  microphone: "off" | "asking" | "on" | "missing";
  muted: boolean;
  hearing: boolean;
  translating: boolean;
  pushesToTalk: boolean;
}

/** A button that mends what is in the way. */
interface Remedy {
  key: string;
  act(): void;
}

interface DockContents {
  state: string;
  title: string;
  detail: string;
  input: { state: string; muted: boolean; talking: boolean; pushesToTalk: boolean };
  canSkip: boolean;
  remedy: Remedy | null;
}

interface SettingsHandlers {
  /** Volume or speed. */
  voices(): void;
  audio(): void;
  interpreting(): void;
  pushToTalk(): void;
  /** What the page has seen. */
  save(format: string): void;
  /** What the server has kept. */
  record(format: string): void;
}

interface TalkActions {
  talk(talking: boolean): void;
  toggleTalk(): void;
  toggleMute(): void;
}

interface ConversationHandlers {
  /** The server's own token for this room. */
  token(token: string | null): void;
  left(): void;
  refused(why: string, code: string): void;
  /** Those of this server and room. */
  keptVoices(): any;
  saveVoice(voice: KeptVoice): void;
}

/* The browser, where TypeScript's own types lack it */

interface Navigator {
  audioSession?: { type: string };
}

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
