/** What can be ordered. Prices in cents (分) for one unit. */
export interface Product {
  readonly code: string;
  readonly name: string;
  readonly priceCents: number;
}

export const CATALOGUE: readonly Product[] = [
  { code: 'mmf-01', name: '货币基金·日日盈', priceCents: 10_000 },
  { code: 'mmf-02', name: '货币基金·零钱通宝', priceCents: 100 },
  { code: 'bond-03', name: '短债基金·稳健三月', priceCents: 50_000 },
  { code: 'bond-06', name: '定期理财·六个月', priceCents: 100_000 },
  { code: 'bond-12', name: '定期理财·一年期', priceCents: 100_000 },
  { code: 'gold-01', name: '黄金积存·一克', priceCents: 56_780 },
  { code: 'index-300', name: '指数基金·沪深三百', priceCents: 20_000 },
  { code: 'insure-travel', name: '旅行意外险', priceCents: 3_990 },
  { code: 'topup-50', name: '话费充值·五十元', priceCents: 4_985 },
  { code: 'topup-100', name: '话费充值·一百元', priceCents: 9_970 },
];

export function findProduct(code: string): Product | undefined {
  return CATALOGUE.find((product) => product.code === code);
}
