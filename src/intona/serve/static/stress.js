/** Where the words that were read stand in the text, and stress marks in it. A `+` before a vowel stresses it. */

const VOWELS = /[аеёиоуыэюя]/giu;
const WORD = /\p{L}[\p{L}\p{M}+]*(?:-\+?\p{L}[\p{L}\p{M}+]*)*/gu; // with hyphens, as in кто-то
const MARKS = /[+\u0301]/gu;

/** @typedef {{start: number, end: number, letters: string}} Source a word of the text without its marks */

/**
 * The words of a text, including `+` marks before their first letter.
 * @param {string} text
 * @returns {Source[]}
 */
export function sourceWords(text) {
  return [...text.matchAll(WORD)].map((match) => {
    const start = text[match.index - 1] === "+" ? match.index - 1 : match.index;
    const end = match.index + match[0].length;
    return { start, end, letters: plain(text.slice(start, end)) };
  });
}

/**
 * The word of the text behind each word that was read, null for those that are not in the text as they are
 * read, such as numbers: the longest common subsequence.
 * @param {string[]} read
 * @param {Source[]} sources
 * @returns {(Source | null)[]}
 */
export function align(read, sources) {
  const words = read.map(plain);
  const n = words.length;
  const m = sources.length;
  const best = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      best[i][j] =
        words[i] === sources[j].letters ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
  }
  /** @type {(Source | null)[]} */
  const out = [];
  for (let i = 0, j = 0; i < n;) {
    if (j < m && words[i] === sources[j].letters) {
      out.push(sources[j++]);
      i++;
    } else if (j < m && best[i][j + 1] >= best[i + 1][j]) j++;
    else {
      out.push(null);
      i++;
    }
  }
  return out;
}

/**
 * The letters of a word as [text, vowel]: which vowel of the word it is, -1 for other letters.
 * @param {string} word
 * @returns {[string, number][]}
 */
export function letters(word) {
  let n = 0;
  return [...word].map((letter) => [letter, letter.match(VOWELS) ? n++ : -1]);
}

/**
 * Which vowel of a word its phones stress, -1 for none. Each Russian vowel letter is one vowel phone.
 * @param {string[]} phones
 */
export function stressedVowel(phones) {
  const vowels = phones.filter((phone) => /[aeiouæɐəɪɨɔɛʉʊɵ]/u.test(phone));
  return vowels.findIndex((phone) => phone.includes("ˈ"));
}

/**
 * The text with a word stressed on one of its vowels.
 * @param {string} text
 * @param {Source} source
 * @param {number} vowel
 */
export function stressed(text, source, vowel) {
  let n = -1;
  const word = text
    .slice(source.start, source.end)
    .replace(MARKS, "")
    .replace(VOWELS, (letter) => (++n === vowel ? `+${letter}` : letter));
  return text.slice(0, source.start) + word + text.slice(source.end);
}

/** @param {string} word */
function plain(word) {
  return word.replace(MARKS, "").toLowerCase();
}
