/** The parts of a Markdown document that two languages share. */

const FENCE = /^```[\s\S]*?^```$/gm;

export function codeBlocks(text: string): string[] {
  return [...text.matchAll(FENCE)].map((found) => found[0]);
}

export function headings(text: string): { level: number; title: string }[] {
  return [...text.replaceAll(FENCE, '').matchAll(/^(#{1,6}) +(.+)$/gm)].map((found) => ({
    level: found[1]?.length ?? 0,
    title: found[2] ?? '',
  }));
}
